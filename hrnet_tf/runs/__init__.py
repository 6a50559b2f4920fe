"""Runs on disk: description, weights, ranking and removal steps."""
