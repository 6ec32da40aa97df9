"""A trained network looked into, in NumPy: how far gradients reach, and what units follow."""
