"""What lies between and behind the two networks of a detector, in numpy: anchors, suppression, RoIAlign, boxes."""
