"""Conversion of uploads to .npy, in a child process with limited memory, time and output.

`formats` lists the formats and `runner` starts the child; the API uses both. `__main__` is the child, which gets two
open files and no secrets.
"""
