"""Rows that are in memory already: arrays, frames, sparse matrices, AnnData objects. Files are `wdist.data.readers`."""
