"""Measurements that anyone can repeat: `python -m benchmarks.stages` (`make bench`).

They are not part of the package.
"""
