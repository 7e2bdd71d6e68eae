"""API keys: who calls, and how much they may use."""
