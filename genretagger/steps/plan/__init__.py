"""A plan: what `tag` would write, in a file that its owner may edit before `apply` writes it.

`entry.py` has what a plan says of one file, `jsonl.py` and `table.py` the two forms of the file,
`reading.py` reads either.
"""
