"""From images and videos to boxes, poses, masks and classes: a detector, a model in its boxes, and tracking between frames."""
