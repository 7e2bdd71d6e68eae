"""`wdist monitor`: batch after batch compared with one reference, in a local folder."""
