"""The same series of batches for wdist and for other tools that watch for drift, each with its defaults."""
