"""TFLite runtimes, delegates and quantized tensors."""
