"""What each task brings to training, a folder each; `registry.py` lists them."""
