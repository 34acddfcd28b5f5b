"""Networks in the formats of others: ONNX graphs, PyTorch modules and their weights."""
