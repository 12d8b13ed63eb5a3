"""Measurements that anyone can repeat: `python -m benchmarks.stages` (`make bench`). Not part of the package."""
