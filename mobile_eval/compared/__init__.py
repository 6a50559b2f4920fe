"""What laying models side by side wants of each task, a file each."""
