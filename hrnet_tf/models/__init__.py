"""Keras models built from specs."""
