"""Learning the owner's genres: labels → split → head → model, and how good it is, honestly."""
