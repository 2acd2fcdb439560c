"""Tuned generators behind TensorFlow Serving: export, and a client for what is served."""
