"""ModelConfig -> keras.Sequential. Nothing here knows of files or command lines."""
