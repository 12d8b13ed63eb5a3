"""An index of the library for queries over many tracks, derived from the database.

The database is made for finding everything about one track. The page and `similar` need the
opposite: a few facts about very many tracks, quickly sorted and filtered. So this room keeps one
flat row for each file, and a short vector of its sound. All of it can be removed at any time; it is
built again from the database.

    flat.py      what is known of a file → a flat row
    index.py     the rows, in their own SQLite file
    pages.py     questions about the rows: pages, counts, albums
    filling.py   brings the rows up to date with the database
    likeness.py  embeddings → short vectors, nearest tracks, the map
    need.py      which tracks need an ear, and why
    errand.py    what the page asks of the child process that updates the index
"""
