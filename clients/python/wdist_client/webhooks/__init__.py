"""Webhooks: where a server sends what happened."""
