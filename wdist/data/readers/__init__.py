"""Readers of files: tables, archives and images become one array, written row by row as they are read.

`base` is the contract, `registry` lists the formats, and each format has a module with `read(source, writer, take)`.
`writer` receives the rows; `tables` and `archives` hold what several readers share. `dialects` recognises how a CSV
file is written; `columnar` reads Parquet, and `extras` what needs an extra of wdist.
"""
