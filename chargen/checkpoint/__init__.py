"""The directory on disk that training writes and everything else reads."""
