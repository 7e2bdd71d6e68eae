"""Sample sets: how they are opened, checked, split, scaled, grouped, and read in batches."""
