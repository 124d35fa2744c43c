"""Run one TensorFlow 1 program on every pinned TensorFlow and show where the answers differ."""

__version__ = "0.1.0"
