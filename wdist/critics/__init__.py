"""Critics: the families of 1-Lipschitz potentials, and the frozen form that is certified and stored."""
