"""Classification: a class for the whole image, top-1."""
