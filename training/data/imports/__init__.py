"""Data sets that come in one piece, laid out as a folder of images for each class: `hrnet data`."""
