"""Genre names, and scores and decisions from a model's output; the knowledge is in TOML files."""
