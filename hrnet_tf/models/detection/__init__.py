"""Faster R-CNN on an HRNet trunk."""
