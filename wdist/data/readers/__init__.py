"""File readers: they turn tables, archives and images into one array, written to disk as it is read."""
