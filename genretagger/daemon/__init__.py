"""The service: notices new music, waits until it is complete, and tags it in the background.

Two processes, so that the one that runs for months is small:

- The *watcher* (`service.py`, one for each database: `lock.py`) notices changes (`watch.py`) below
  the folders (`roots.py`), waits until files are complete (`arrivals.py`, `settle.py`), compares
  the library with the database (`scan.py`), and keeps the queue in the database filled
  (`intake.py`). It opens no music file and loads neither the model nor a decoder. It reports what
  happened to the log (`account.py`, `events.py`), to the owner's command (`hook.py`), to the
  service manager (`notify.py`), and to commands that ask or follow (`control.py`, `followers.py`,
  `state.py`). It notices what keeps it from working: a database that is gone (`storage.py`), disks
  that fail (`disks.py`), disks that are not mounted (`mounts.py`). It handles signals from its
  first moment on (`early.py`).
- The *engine* (`engine.py`) is started when a job is due (`work.py`), takes jobs from the queue
  through the pipeline, and ends when there has been nothing to do for a while. It reports the
  outcome of each file to the watcher (`messages.py`, `driver.py`).

Two clocks: `time.monotonic` for how long something lasts, `time.time` to compare with the times of
file systems and the database.
"""
