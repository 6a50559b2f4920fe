"""Detection: boxes of objects and their classes, AP50."""
