"""The HTTP API (FastAPI). This process never imports torch."""
