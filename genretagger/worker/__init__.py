"""The child processes that touch untrusted bytes, and the pool that keeps them.

    pool.py → handle.py (one child, seen from the parent)
            ⇄ wire.py (frames; protocol.py says what is in them) ⇄ child.py (in it, under limits.py)

A music file is opened in a child and nowhere else. A child has one file at a time, little memory
and little time; a crash, a hang or a memory bomb costs only that file. Answers of a child are not
trusted, because a hostile file may have taken it over: no pickles, bounded sizes, every value
checked.

Import `WorkerPool` and `Limits` from `genretagger.worker.pool`.
"""
