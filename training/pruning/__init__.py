"""Choosing and removing links and blocks."""
