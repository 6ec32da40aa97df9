"""The trained network in NumPy. Keras is never imported here."""
