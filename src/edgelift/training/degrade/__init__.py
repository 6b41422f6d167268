"""Degradations of real pictures, made from sharp ones: the second-order pipeline of Real-ESRGAN (Wang et al. 2021) and what
the web adds. Drawing and the form for single pictures need numpy and Pillow only; the form for batches is in PyTorch."""
