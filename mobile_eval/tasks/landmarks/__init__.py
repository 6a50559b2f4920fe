"""Facial landmarks."""
