"""API keys, and the quotas that come with them."""
