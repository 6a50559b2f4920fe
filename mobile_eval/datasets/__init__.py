"""Annotation files and the images they speak of."""
