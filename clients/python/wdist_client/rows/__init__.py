"""Rows as a client sends them: the bytes of arrays, frames and files, and the names of their columns."""
