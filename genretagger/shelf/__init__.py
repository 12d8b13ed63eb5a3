"""An index of the library, derived from the database and kept beside it, to scan many tracks.

The database is made to find out everything about one track. The page and `similar` ask the
opposite: a little of very many tracks, sorted and filtered at once. So this room keeps one flat row
for each file, and a short vector for what was heard in it. All of it can be removed at any time: it
is built again from the database.

    flat.py      what is known of a file → a flat row
    index.py     the rows, in their own SQLite file
    pages.py     questions about the rows: pages, counts, albums
    filling.py   brings the rows up to date with the database
    likeness.py  embeddings → short vectors, nearest tracks, the map
    need.py      which tracks need an ear, and why
    errand.py    what the page asks of the child process that updates the index
"""
