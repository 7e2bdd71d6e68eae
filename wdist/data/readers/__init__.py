"""Readers of files: tables, archives and images become one array, written row by row as they are read."""
