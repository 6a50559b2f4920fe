"""From a run to a `.tflite` that describes itself."""
