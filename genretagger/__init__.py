"""genretagger listens to music files and writes each track's genre into its tags."""

__version__ = "0.2.0"
