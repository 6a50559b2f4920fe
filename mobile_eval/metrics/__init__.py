"""Accuracy: PCK, NME, AP and AR, confusion matrices."""
