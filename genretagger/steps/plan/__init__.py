"""A plan: what `tag` would write, as a file that its owner reads, shortens or edits before `apply` writes it.

`entry.py` has what a plan says of one file, `jsonl.py` and `table.py` the two forms of the file,
`reading.py` reads either.
"""
