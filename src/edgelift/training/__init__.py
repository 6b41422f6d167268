"""Training networks. Imports torch, numpy, Pillow and the standard library only, so that it runs on a bare PyTorch machine."""
