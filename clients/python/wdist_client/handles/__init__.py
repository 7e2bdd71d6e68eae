"""Handles of submitted estimates and batches, which ask the server again."""
