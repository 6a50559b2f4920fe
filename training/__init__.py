"""How networks learn: data pipeline, loss, `model.fit`, link ranking, pruning and quantization-aware training."""
