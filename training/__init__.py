"""Training HRNets: data pipeline, losses, `model.fit`, ranking and pruning of fusion links, quantization-aware training."""
