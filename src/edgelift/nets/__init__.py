"""Networks as PyTorch modules. Imports torch, numpy and `core` only, so that it runs on a bare PyTorch machine."""
