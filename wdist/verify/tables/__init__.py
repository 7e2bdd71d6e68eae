"""Encoded tables: what their columns are, written from docs/certificate.md and not from the issuer's code."""
