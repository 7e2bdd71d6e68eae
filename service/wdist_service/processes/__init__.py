"""The processes of a server: the API, its supervisor, and how parent and child watch each other."""
