"""Genre names, and how scores and decisions are made of what a model says; the knowledge is data, in the TOML files."""
