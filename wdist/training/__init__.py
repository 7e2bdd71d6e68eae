"""Critics are trained, several in lockstep where that is cheaper, and one of them is selected."""
