"""The certificate: a file from which anyone can recompute a result. `wdist.verify` reads it."""
