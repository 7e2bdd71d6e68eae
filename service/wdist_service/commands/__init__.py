"""One module for each command of `wdist`: `add` declares its arguments, `run` carries it out."""
