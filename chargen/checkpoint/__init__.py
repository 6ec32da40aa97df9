"""The directory on disk that a run writes, and all else reads."""
