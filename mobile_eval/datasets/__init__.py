"""Datasets on disk: annotation files, masks and folders of images."""
