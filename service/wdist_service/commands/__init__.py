"""The server's commands; `wdist.cli` loads them by name."""
