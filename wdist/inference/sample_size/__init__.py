"""How many rows an estimate needs."""
