"""Benchmarks: each prints its figures as ratios to a baseline taken in the same run."""
