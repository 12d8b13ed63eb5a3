"""The parts of the beets plugin that do not need beets.

A pipeline in a thread, the options, and the genres of albums.
"""
