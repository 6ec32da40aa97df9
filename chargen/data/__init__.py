"""Text -> characters -> ids -> windows, with NumPy only."""
