"""Webhooks: addresses that are told when something has happened, after the Standard Webhooks specification."""
