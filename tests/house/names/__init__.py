"""The names that people may rely on, as the code has them now; tests/house/public_names.txt is the list."""
