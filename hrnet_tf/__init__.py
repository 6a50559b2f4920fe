"""HRNet for Keras, its fusion links, and what the edge makes of them."""
