"""The API browser at /docs: Swagger UI on this server's own contract."""
