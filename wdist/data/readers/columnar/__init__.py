"""Parquet: `parquet` reads the files of a table, and `parts` finds those that a folder holds."""
