"""Archives: the stages of `tag` on many machines, by Ray, with PostgreSQL as the database.

    listing → units in the database → claim, decode, mel → the model → decide, write → done

- `listing.py`: folders → units; nothing holds the whole list.
- `stages.py`: what runs on the nodes, as actors of Ray Data.
- `driver.py`: starts them in passes, keeps the claims alive, and goes on when something dies.
- `table.py`: the results as Parquet. `metrics.py`: figures for Prometheus.

Every unit is claimed in the database, and its files go through `Pipeline.tag` at the end, which
finds what was heard before it. So what a killed process leaves behind is found by the next one, as
after a killed `tag`.
"""
