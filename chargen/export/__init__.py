"""A checkpoint -> one file for other programs: safetensors, ONNX, or a page that writes text."""
