"""Importing data sets of other formats as a folder of images for each class."""
