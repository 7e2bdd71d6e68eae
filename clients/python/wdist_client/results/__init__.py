"""The result of an estimate, its parts, and the file that the library and the client both write."""
