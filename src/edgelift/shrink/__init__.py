"""Making networks smaller or cheaper: graph in, graph out. Numpy and onnx; what runs a graph is handed in."""
