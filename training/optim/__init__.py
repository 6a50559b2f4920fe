"""Optimizers, schedules and training models."""
