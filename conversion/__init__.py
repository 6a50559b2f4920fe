"""Convert runs and Keras models to `.tflite` files that describe themselves."""
