"""ModelConfig -> keras.Sequential. Knows nothing of files or command lines."""
