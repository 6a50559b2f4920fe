"""Charts and pictures as SVG and images."""
