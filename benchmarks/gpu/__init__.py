"""What a GPU brings: one command of at most twelve minutes, for a machine that is lent for fifteen."""
