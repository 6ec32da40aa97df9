"""Text -> bits per character."""
