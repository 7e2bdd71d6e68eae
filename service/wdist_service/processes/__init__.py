"""The processes of a server: the API, its supervisor, and how the supervisor watches its children."""
