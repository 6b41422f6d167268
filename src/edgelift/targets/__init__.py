"""What a trained network can be compiled for. One file a target."""
