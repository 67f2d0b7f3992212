"""What lower precisions cost and gain: `penstock quantize` on three kinds of models."""
