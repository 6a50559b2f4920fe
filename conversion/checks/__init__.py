"""A converted file against the Keras model."""
