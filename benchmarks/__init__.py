"""Measurements of speed and quality; see README.md."""
