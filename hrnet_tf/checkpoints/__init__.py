"""Published checkpoints made into runs, and runs made into checkpoints.

    file ── reading ──> arrays ── naming ──> official names ── layout ──> this package's weights ── importing ──> run

`layout` is the one table of which official entry is which variable; it is read in both directions.
"""
