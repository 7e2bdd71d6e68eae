"""Rows in: sample sets are opened, checked, split, scaled, grouped, and read in batches."""
