"""Files that a download has not finished, as other files beside them tell.

Some programs give a file its last name and its full size at once, and keep beside it what they still need: aria2
`NAME.aria2`, Axel `NAME.st`, lftp `NAME.lftp-pget-status`, Thunder `NAME.td.cfg`. Others load into a file with a longer
name and put that in place of `NAME` when it is complete; what lies under `NAME` until then is a placeholder (Firefox)
or an older version that is about to go: `.part`, `.crdownload` and their like, and `.syncthing.NAME.tmp`.

Only names that are known beforehand are asked for, at one look each. rsync (`.NAME.XXXXXX`) and Nextcloud (`.NAME.~…`)
add letters by chance, for which a whole folder would have to be read for each file; `NAME` is complete while they work.
"""

from __future__ import annotations

import os
from pathlib import Path

_ARIA2 = ".aria2"
_BEHIND = (
    *(_ARIA2, ".st", ".lftp-pget-status", ".td.cfg", ".xltd.cfg"),  # beside a file that has its full size
    *(".part", ".ytdl"),  # Firefox, yt-dlp, curl's users
    *(".crdownload", ".opdownload", ".partial", ".download"),  # Chrome, Opera, Edge, Safari
    *(".!qB", ".!ut", ".bc!", ".!bt"),  # qBittorrent, µTorrent, BitComet
    *(".filepart", ".fdmdownload", ".dtapart", ".jc!", ".td", ".xltd"),  # WinSCP, FDM, DownThemAll, FlashGet, Thunder
)
_AROUND = ((".syncthing.", ".tmp"), ("~syncthing~", ".tmp"))


def companion(path: Path, root: Path) -> str:
    """Name the file that says that another one is still being downloaded; empty if there is none.

    Args:
        path: the file.
        root: the folder that it was found in: aria2 may download a folder as a whole, `ALBUM` with `ALBUM.aria2`.
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
