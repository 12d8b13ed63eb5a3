"""Finds music files, recognises their kinds, and replaces them safely (`replace.py`)."""
