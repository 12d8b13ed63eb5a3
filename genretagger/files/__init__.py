"""Finds music files, tells their kinds, and has the one way to replace one. See `replace.py`."""
