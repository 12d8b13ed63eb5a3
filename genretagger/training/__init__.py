"""Learns the owner's genres: labels → split → head → model, with a measure of its quality."""
