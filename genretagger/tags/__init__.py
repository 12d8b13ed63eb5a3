"""Reading and writing the genre of a file, and telling its audio from its tags. Start at `api.py`."""
