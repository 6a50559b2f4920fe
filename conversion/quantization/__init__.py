"""Ranges for post-training quantization."""
