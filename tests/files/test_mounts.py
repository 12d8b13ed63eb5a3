"""Which file systems lie behind a network, by the system's table of mounts."""

from __future__ import annotations

from pathlib import Path

import pytest

from genretagger.files.mounts import on_network

MOUNTS = """21 1 8:1 / / rw - ext4 /dev/sda rw
22 21 0:50 / /mnt/nas rw shared:1 - nfs4 nas:/music rw
23 22 8:2 / /mnt/nas/disk rw - ext4 /dev/sdb rw
24 21 0:51 / /mnt/my\\040share rw - cifs //box/share rw
25 21 8:3 / /mnt/twice rw - ext4 /dev/sdc rw
26 25 0:52 / /mnt/twice rw - nfs nas:/twice rw
broken
"""


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("/home/me", False),
        ("/mnt/nas/db", True),
        ("/mnt/nas", True),
        ("/mnt/nas2", False),
        ("/mnt/nas/disk/db", False),
        ("/mnt/my share/db", True),
        ("/mnt/twice", True),
    ],
)
def test_the_table_of_mounts_tells_a_network(tmp_path: Path, folder: str, expected: bool) -> None:
    (tmp_path / "mountinfo").write_text(MOUNTS)
    assert on_network(Path(folder), table=tmp_path / "mountinfo") is expected


def test_without_a_table_of_mounts_nothing_is_a_network(tmp_path: Path) -> None:
    assert not on_network(Path("/mnt/nas"), table=tmp_path / "none")
