"""The `wdist` command: one module for each subcommand."""
