"""Images: reading, geometry, preprocessing."""
