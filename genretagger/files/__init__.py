"""Music files and folders: which there are, what they are, and the one way to replace one. Start at `replace.py`."""
