"""Rules and compilers of accelerators."""
