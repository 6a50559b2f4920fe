"""What a .tflite holds: description and graph."""
