"""Runs on disk: description and weights."""
