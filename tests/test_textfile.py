"""Text files as editors save them, and what is no text file at all."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from genretagger.textfile import decoded, open_binary, read_text

TEXT = 'name = "Späße"\r\nother = "日本"\r\n'


@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_every_coding_that_editors_write(coding: str, tmp_path: Path) -> None:
    file = tmp_path / "file.toml"
    mark = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}.get(coding, b"")
    file.write_bytes(mark + TEXT.encode(coding))
    assert read_text(file, most_bytes=1000) == TEXT.replace("\r\n", "\n")


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    file = tmp_path / "file.csv"
    file.write_bytes(b"caf\xe9,Jazz\n")
    with pytest.raises(UnicodeDecodeError):
        read_text(file, most_bytes=1000)
    with decoded(open_binary(file), errors="surrogateescape") as text:
        assert os.fsencode(text.read()) == b"caf\xe9,Jazz\n"


def test_a_limit(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * ((1 << 20) + 1))
    assert len(read_text(file, most_bytes=2 << 20)) == (1 << 20) + 1
    with pytest.raises(ValueError, match="it is larger than 1 MB"):
        read_text(file, most_bytes=1 << 20)


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        for place, name in (
            (tmp_path / "pipe", "a named pipe"),
            (Path("/dev/zero"), "a device"),
            (tmp_path, "a folder"),
        ):
            with pytest.raises(ValueError, match=f"it is {name}, not a file"):
                read_text(place, most_bytes=1000)
        with pytest.raises(OSError, match="No such device"):
            read_text(tmp_path / "socket", most_bytes=1000)
    assert read_text(Path(os.devnull), most_bytes=1000) == ""
    with pytest.raises(FileNotFoundError):
        read_text(tmp_path / "none", most_bytes=1000)
