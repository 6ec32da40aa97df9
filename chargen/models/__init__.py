"""ModelConfig -> keras.Sequential and its `.keras` file.

Nothing here knows of checkpoints or command lines.
"""
