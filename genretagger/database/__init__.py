"""What is known of the owner's library, in SQLite: files, analyses, decisions, writes.

`store.Store.open` is the way in, `values.py` has what it gives back. Importing `store` imports
SQLAlchemy (about a quarter of a second), so commands do so only when they need it; `values` is
light.
"""
