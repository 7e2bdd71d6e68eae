"""Tables of columns of several kinds: how their values are coded, and how codes become points of one metric space.

A reader gives the columns of a table, block by block (`columns`); `coder` writes them as one array of float64 codes and
the table's schema (`schema`); `encoding` turns the codes of sets that are compared into rows of equal columns, on which
distances are Euclidean.
"""
