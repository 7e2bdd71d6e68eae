"""Critics: one family of 1-Lipschitz potentials beside the other, and the frozen form that is certified and stored."""
