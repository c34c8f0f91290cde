"""Benchmarks: each prints a ratio against a stated rival or limit, measured in the same run."""
