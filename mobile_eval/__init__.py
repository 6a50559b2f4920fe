"""Accuracy and latency of `.tflite` keypoint models on the device: numpy, opencv and a TFLite runtime, never TensorFlow."""
