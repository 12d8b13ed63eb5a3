"""The service: notices new music, waits until it is complete, has it tagged, and is otherwise not felt.

Two processes, so that the one that runs for months is small:

- The *watcher* (`service.py`, one for each database: `lock.py`) hears of changes (`watch.py`) below the folders
  (`roots.py`), waits until files are complete (`arrivals.py`, `settle.py`), compares the library with the database
  (`scan.py`), and keeps the queue in the database filled (`intake.py`). It opens no music file and loads neither the
  model nor anything that decodes. It tells what happened: to the log (`account.py`, `events.py`), to the owner's
  command (`hook.py`), to the service manager (`notify.py`), and to whoever asks (`control.py`).
  It notices what keeps it from its work: a database that is gone (`storage.py`), disks that fail (`disks.py`), disks
  that are not mounted (`mounts.py`). Signals are its own from the first moment on (`early.py`).
- The *engine* (`engine.py`) is started when something is due (`work.py`), takes jobs from the queue through the
  pipeline, and ends when there has been nothing to do for a while. It tells the watcher what became of each file
  (`driver.py`).

Two clocks: `time.monotonic` for how long something lasts, `time.time` for what file systems and the database say.
"""
