"""Reads and writes the genre of a file, and separates audio from tags. Start at `api.py`."""
