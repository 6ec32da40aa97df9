"""Checkpoint -> text or scores, in NumPy and h5py alone. Keras is never imported here."""
