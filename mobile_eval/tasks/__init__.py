"""What evaluating means for each task; `registry.py` lists them."""
