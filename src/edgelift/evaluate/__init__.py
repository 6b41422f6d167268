"""Measuring: bundles against the truth, against each other and against the clock."""
