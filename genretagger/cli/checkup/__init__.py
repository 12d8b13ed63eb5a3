"""The check-up: is everything there that genretagger needs, and does it work?

It has to work with a broken set-up, so no failure stops it. Checks come in groups. A
group that loads native libraries, opens files or meets network folders runs in a child process of
its own, all at once: a crash or a hang costs that group and becomes a finding. Nothing is written,
made or downloaded.

Contents: `finding.py` (what a check says), `groups.py` (which checks there are, and how they are
run), and the checks themselves: `setup.py`, `storage.py`, `listening.py`, `decoding.py`,
`library.py`. To add a check: a function that yields findings, and its name in `groups.py`.
"""

from genretagger.cli.checkup.finding import Finding, Health
from genretagger.cli.checkup.groups import examine

__all__ = ["Finding", "Health", "examine"]
