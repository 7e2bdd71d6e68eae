"""Sample sets: uploaded arrays, immutable and content-addressed."""
