"""The training commands."""
