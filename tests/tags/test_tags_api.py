"""The whole write: what is refused, what a kill leaves, and that checks catch a wrong edit."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import pytest
from audio_factory import make, make_dsf
from tags_helpers import field_of, kind_at, only, payload_of, put, refusal_of, write

from genretagger.errors import AccessError, FileChangedError, TagError, UnsupportedFileError, WriteRefusedError
from genretagger.files import replace as files
from genretagger.files import swap
from genretagger.files.kinds import KINDS
from genretagger.tags import api
from genretagger.tags.mp3 import Mp3
from genretagger.types import Stamp


@pytest.mark.parametrize("name", ["aac", "ac3", "caf", "eac3", "tta"])
def test_kinds_without_tags_that_are_known(tmp_path: Path, name: str) -> None:
    path = make(tmp_path / "song", name, 0.5)
    kind = kind_at(path)
    assert field_of(path).values == ()
    assert kind.human in (refusal_of(path) or "")
    payload, data = payload_of(path), path.read_bytes()
    with pytest.raises(UnsupportedFileError):
        put(path, "Jazz")
    assert path.read_bytes() == data
    path.write_bytes(data + b"\x00")
    assert payload_of(path) != payload, "the whole file, where the tags are not known"


def test_what_is_no_audio(tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    path.write_bytes(b"#EXTM3U\n" * 99)
    with pytest.raises(UnsupportedFileError):
        api.write(
            path,
            root=tmp_path,
            change=api.NewGenres(("Jazz",)),
            expected=Stamp.of(path.stat()),
            payload_hash="",
            temporary_name=files.new_temporary_name(path),
        )


def test_the_digest_of_known_bytes() -> None:
    """If the digest changes, no track is known any more: then raise the number in the prefix."""
    frame = b"\xff\xfb\x90\x00" + bytes(413)
    digest = api.payload_hash(io.BytesIO(b"ID3\x04\x00\x00\x00\x00\x00\x05" + bytes(5) + frame * 9), KINDS["mp3"])
    assert digest == "39a9f4c28a0d487a258ea5710556429292364b4001e8e0f2ed346e3be1b37433"


class Wrong(Mp3):
    """A family with a bug."""

    def __init__(self, harm: Callable[[BinaryIO], object]) -> None:
        super().__init__("; ")
        self.harm = harm

    def write(self, file: BinaryIO, values: Sequence[str]) -> None:
        super().write(file, values)
        self.harm(file)


def poke(place: int, data: bytes) -> Callable[[BinaryIO], object]:
    def harm(file: BinaryIO) -> None:
        file.seek(place, 2 if place < 0 else 0)
        file.write(data)

    return harm


def cut(file: BinaryIO) -> None:
    file.truncate(file.seek(0, 2) - 400)


def rename_title(file: BinaryIO) -> None:
    file.seek(0)
    data = file.read().replace(b"A title", b"B title")
    file.seek(0)
    file.write(data)


def rename_genre(file: BinaryIO) -> None:
    file.seek(0)
    data = file.read().replace(b"Jazz", b"Jizz")
    file.seek(0)
    file.write(data)


def fail(file: BinaryIO) -> None:
    raise IndexError("made up")


@pytest.mark.parametrize(
    ("harm", "error", "reason"),
    [
        (poke(-300, b"\x00\x01\x02"), WriteRefusedError, "changed the audio"),
        (cut, WriteRefusedError, "changed the audio"),
        (rename_title, WriteRefusedError, "changed other tags"),
        (rename_genre, WriteRefusedError, "read back"),
        (poke(0, b"XXX"), WriteRefusedError, "another kind|changed the audio|cannot be read"),
        (lambda file: file.truncate(0), WriteRefusedError, "another kind"),
        (fail, TagError, "made up"),
    ],
    ids=["audio", "cut", "title", "genre", "tag", "all", "error"],
)
def test_a_wrong_edit_never_reaches_the_file(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    harm: Callable[[BinaryIO], object],
    error: type[Exception],
    reason: str,
) -> None:
    path = make(tmp_path / "song.mp3", "mp3", 1.0)
    data = path.read_bytes()
    monkeypatch.setattr(api, "container_of", lambda *_: Wrong(harm))
    with pytest.raises(error, match=reason):
        put(path, "Jazz", audio_sample=None)
    assert path.read_bytes() == data
    assert only(path)


def test_a_second_reader_has_to_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Disagreeing(Mp3):
        def second_opinion(self, file: BinaryIO) -> tuple[str, ...]:
            return (*super().second_opinion(file), "Polka")

    path = make(tmp_path / "song.mp3", "mp3", 1.0)
    data = path.read_bytes()
    monkeypatch.setattr(api, "container_of", lambda *_: Disagreeing("; "))
    with pytest.raises(WriteRefusedError, match="another reader"):
        put(path, "Jazz")
    assert path.read_bytes() == data


@pytest.mark.parametrize("step", swap.STEPS)
@pytest.mark.parametrize("name", ["mp3", "alac", "wavpack", "asf", "wav", "aiff", "dsf"])
def test_a_kill_leaves_a_whole_file(tmp_path: Path, name: str, step: str) -> None:
    path = tmp_path / "song"
    make_dsf(path, 0.5, ["Rock"]) if name == "dsf" else make(path, name, 1.0, "Rock")
    old, payload = path.read_bytes(), payload_of(path)
    temporary = files.new_temporary_name(path)
    code = f"""
        import os, signal
        from pathlib import Path
        from genretagger.tags import api
        from genretagger.types import Stamp
        path = Path({str(path)!r})
        def step(name):
            if name == {step!r}:
                os.kill(os.getpid(), signal.SIGKILL)
        api.write(path, root=path.parent, change=api.NewGenres(("Jazz", "Blues")), expected=Stamp.of(path.stat()),
                  payload_hash={payload!r}, temporary_name={temporary!r}, step=step)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, check=False)
    assert done.returncode == -9, done.stderr
    if swap.STEPS.index(step) < swap.STEPS.index("swapped"):
        assert path.read_bytes() == old
    else:
        assert field_of(path).values == ("Jazz", "Blues")
    assert payload_of(path) == payload
    files.remove_left_over(path.parent, temporary)
    assert only(path)
    if field_of(path).values == ("Rock",):
        put(path, "Jazz", "Blues")
    assert field_of(path).values == ("Jazz", "Blues"), "a second attempt ends where the first one would have"


@pytest.mark.parametrize("step", ["opened", "copied", "edited", "checked", "synced"])
def test_the_owner_edits_meanwhile(tmp_path: Path, step: str) -> None:
    path = make(tmp_path / "song.mp3", "mp3", 1.0)

    def edit(done: str) -> None:
        if done == step:
            make(path, "mp3", 1.0, "The owner's")

    with pytest.raises(FileChangedError):
        put(path, "Jazz", step=edit)
    assert field_of(path).values == ("The owner's",)
    assert only(path)


def test_a_link_that_leads_outside(tmp_path: Path) -> None:
    library = tmp_path / "music"
    library.mkdir()
    path = make(tmp_path / "song.mp3", "mp3", 1.0)
    link = library / "song.mp3"
    link.symlink_to(path)
    with pytest.raises(WriteRefusedError, match="outside"):
        put(link, "Jazz")
    put(link, "Jazz", options=api.WriteOptions(allow_outside=True))
    assert field_of(path).values == ("Jazz",)


def test_errors_of_the_system_are_told_from_damage(tmp_path: Path) -> None:
    class Failing(io.BytesIO):
        def read(self, _: int | None = -1, /) -> bytes:
            raise OSError(5, os.strerror(5))

    for name in ("mp3", "flac", "ogg", "mp4", "wavpack", "asf", "wav", "aiff", "dsf"):
        with pytest.raises(AccessError, match="input/output"):
            api.read(Failing(b"x" * 99), KINDS[name])
        with pytest.raises(AccessError, match="input/output"):
            api.payload_hash(Failing(b"x" * 99), KINDS[name])
        with pytest.raises(AccessError, match="input/output"):
            api.refusal(Failing(b"x" * 99), KINDS[name])


@pytest.mark.parametrize("name", ["mp3", "flac", "ogg", "opus", "speex", "oggflac", "mp4", "asf", "wav", "aiff", "dsf"])
def test_nonsense_is_an_error_of_ours(name: str) -> None:
    for data in (
        b"",
        b"x",
        b"fLaC",
        b"OggS" + bytes(40),
        b"ID3\x04\x00\x00\x00\x00\x00\x00",
        bytes(500),
        b"\xff" * 500,
    ):
        file = io.BytesIO(data)
        with contextlib.suppress(TagError):
            api.read(file, KINDS[name])
        with contextlib.suppress(TagError):
            api.payload_hash(file, KINDS[name])
        assert api.refusal(file, KINDS[name]) or name == "mp3"


def test_large_files_are_hashed_in_pieces(tmp_path: Path) -> None:
    import resource

    path = make(tmp_path / "song.mp3", "mp3", 1.0)
    with path.open("r+b") as file:
        file.truncate(100_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    payload_of(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000


def test_undo_of_an_undo(tmp_path: Path) -> None:
    path = make(tmp_path / "song.flac", "flac", 1.0, ["Rock", "Pop"])
    first = put(path, "Jazz")
    second = write(path, api.OldGenres(first.before.raw))
    third = write(path, api.OldGenres(second.before.raw))
    assert [change.after.values for change in (first, second, third)] == [("Jazz",), ("Rock", "Pop"), ("Jazz",)]
