"""Import of published PyTorch checkpoints as runs, and export of runs as checkpoints.

    file ── torch_reader ──> arrays ── layer_names ──> official names ── layout ──> weights of this package ── from_torch ──> run

`layout` is the one table of which official entry is which variable. It is used in both directions.
"""
