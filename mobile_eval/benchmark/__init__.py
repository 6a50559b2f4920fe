"""Latency, memory and profiles."""
