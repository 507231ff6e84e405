"""A library's policy written as ONNX graphs, once per backbone. Needs the onnx package, but neither torch nor the weights' values."""
