"""Accelerators: rules and compilers."""
