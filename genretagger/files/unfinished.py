"""Files that a download has not finished, as other files beside them show.

Some programs give a file its final name and full size at once, and keep their state beside it:
aria2 `NAME.aria2`, Axel `NAME.st`, lftp `NAME.lftp-pget-status`, Thunder `NAME.td.cfg`. Others load
into a file with a longer name and put that in place of `NAME` when it is complete; what is under
`NAME` until then is a placeholder (Firefox) or an older version that is about to go: `.part`,
`.crdownload` and their like, and `.syncthing.NAME.tmp`.

Only names that can be predicted are checked, with one `stat` each. rsync (`.NAME.XXXXXX`) and
Nextcloud (`.NAME.~…`) add random letters, and finding these would mean reading the whole folder
for each file; `NAME` is complete while they work.
"""

from __future__ import annotations

import contextlib
import os
import time
from itertools import islice
from pathlib import Path

from genretagger.files.discover import is_audio_name
from genretagger.files.system import is_being_written

_ARIA2 = ".aria2"
_BEHIND = (
    *(_ARIA2, ".st", ".lftp-pget-status", ".td.cfg", ".xltd.cfg"),  # beside a file that has its full size
    *(".part", ".ytdl"),  # Firefox, yt-dlp, curl's users
    *(".crdownload", ".opdownload", ".partial", ".download"),  # Chrome, Opera, Edge, Safari
    *(".!qB", ".!ut", ".bc!", ".!bt"),  # qBittorrent, µTorrent, BitComet
    *(".filepart", ".fdmdownload", ".dtapart", ".jc!", ".td", ".xltd"),  # WinSCP, FDM, DownThemAll, FlashGet, Thunder
)
_MOST_NAMES = 5000
_AROUND = ((".syncthing.", ".tmp"), ("~syncthing~", ".tmp"))


def is_arriving(folder: Path, within_s: float) -> bool:
    """Whether music is being downloaded into a folder under the name of an unfinished file.

    A download that was given up leaves such a file forever; so only one that was written to a
    moment ago counts.

    Args:
        folder: looks at its names, but at no more than `_MOST_NAMES` of them.
        within_s: how long ago a download that goes on was written to at most, in seconds.
    """
    oldest = time.time() - within_s
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in islice(entries, _MOST_NAMES):
            name = next((entry.name.removesuffix(end) for end in _BEHIND if entry.name.endswith(end)), "")
            if not name:
                name = next((_between(entry.name, *each) for each in _AROUND if _between(entry.name, *each)), "")
            if name and is_audio_name(name) and entry.stat(follow_symlinks=False).st_mtime >= oldest:
                return True
    return False


def _between(name: str, start: str, end: str) -> str:
    return name[len(start) : -len(end)] if name.startswith(start) and name.endswith(end) else ""


def is_in_use(path: Path, root: Path) -> bool:
    """Whether a program writes to a file, or a file beside it shows that a download goes on."""
    return is_being_written(path) is True or bool(companion(path, root))


def companion(path: Path, root: Path) -> str:
    """Name the file that says that another one is still being downloaded; empty if there is none.

    Args:
        root: the folder that it was found in: aria2 may download a folder as a whole, `ALBUM` with
            `ALBUM.aria2`.
    """
    folder, name = os.fspath(path.parent), path.name
    names = (*(name + end for end in _BEHIND), *(start + name + end for start, end in _AROUND))
    for each in names:
        if os.path.lexists(os.path.join(folder, each)):  # noqa: PTH118 - asked twenty times for each file
            return each
    for above in path.parents:
        if not above.is_relative_to(root) or not above.name:
            break
        control = above.with_name(above.name + _ARIA2)
        if os.path.lexists(control):
            return control.name
    return ""
