"""Sample sets: uploaded arrays, immutable, named by their content."""
