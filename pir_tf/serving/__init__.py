"""Export to TensorFlow Serving, and a client for what it serves."""
