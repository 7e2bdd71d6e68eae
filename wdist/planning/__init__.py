"""How many rows an estimate needs, planned from a pilot."""
