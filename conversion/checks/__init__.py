"""Checks of converted models, and comparison with their Keras models."""
