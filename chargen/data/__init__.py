"""Text -> characters -> ids -> windows, in NumPy alone."""
