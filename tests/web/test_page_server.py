"""The page's server: rows, sound in parts, choices, undo, and the events that open pages get."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from queue import Queue
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pytest
from audio_factory import make
from command_helpers import heard as heard_before
from command_helpers import settings as settings_of
from command_helpers import tag
from conftest import data_dir_with
from mutagen import File, flac
from page_helpers import Server, empty_library, serving

from genretagger.database.store import Store
from genretagger.model import InstalledModel
from genretagger.shelf.flat import GenreState

GENRE = "Trance"
"""What the default model takes the test music for."""

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for an empty library, shared by the tests that change nothing."""
    with empty_library(tmp_path_factory.mktemp("served")) as running:
        yield running


def filled(data_dir: Path, make_techno: Callable[..., Path], music: Path) -> Path:
    """A folder with two tracks that were tagged, and one that has a genre of its owner."""
    make_techno(music / "a.flac", title="Alpha", artist="One")
    make_techno(music / "b.mp3", "mp3", title="Beta", artist="Two")
    make_techno(music / "c.ogg", "ogg", title="Gamma", artist="Three", genre="Polka")
    tag(settings_of(data_dir), music)
    return music


@contextlib.contextmanager
def showing(data_dir: Path) -> Iterator[Server]:
    with serving(data_dir) as running:
        running.until(lambda: names(running), lambda found: {"Alpha", "Beta", "Gamma"} <= found)
        yield running


@pytest.fixture
def library(heard: Path, make_techno: Callable[..., Path], music: Path) -> Path:
    return filled(heard, make_techno, music)


@pytest.fixture
def page(heard: Path, library: Path) -> Iterator[Server]:
    with showing(heard) as running:
        yield running


@pytest.fixture(scope="module")
def unchanged(
    model: InstalledModel, techno_samples: npt.NDArray[np.float32], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, Path]]:
    """A page and its music, shared by the tests that change nothing."""

    def make_techno(path: Path, kind: str = "flac", **options: Any) -> Path:
        return make(path, kind, samples=techno_samples, **options)

    folder = tmp_path_factory.mktemp("shared")
    (folder / "music").mkdir()
    data_dir = data_dir_with(model, folder / "data")
    heard_before(data_dir, make_techno, tmp_path_factory.getbasetemp())
    music = filled(data_dir, make_techno, folder / "music")
    with showing(data_dir) as running:
        yield running, music


def tagged(path: Path) -> Any:
    return flac.FLAC(path)  # type: ignore[no-untyped-call]


def pictured() -> Any:
    return flac.Picture()  # type: ignore[no-untyped-call]


def rows(server: Server, query: str = "") -> list[dict[str, Any]]:
    reply = server.ask(f"/api/tracks?count=200{query}").json
    return [row for row in reply["rows"] if row["artist"] in ("One", "Two", "Three")]


def names(server: Server) -> set[str]:
    return {row["title"] for row in rows(server)}


def row(server: Server, title: str) -> dict[str, Any]:
    return next(each for each in rows(server) if each["title"] == title)


def wish(server: Server, title: str, *genres: str) -> dict[str, Any]:
    number = row(server, title)["id"]
    track = server.ask(f"/api/track/{number}").json
    return {"track": number, "payload_hash": track["payload_hash"], "before": track["exact"], "genres": list(genres)}


def genre_of(path: Path) -> list[str]:
    found = File(path, easy=True)
    return list(found.get("genre", [])) if found is not None else []


def test_rows_say_whose_the_genre_is(unchanged: tuple[Server, Path]) -> None:
    page, _ = unchanged
    states = {each["title"]: (each["state"], each["genres"]) for each in rows(page)}
    assert states == {
        "Alpha": ("tagged", [GENRE]),
        "Beta": ("tagged", [GENRE]),
        "Gamma": ("yours", ["Polka"]),
    }
    reply = page.ask("/api/overview").json
    assert reply["states"]["yours"] == 1
    assert set(reply["states"]) == {state.value for state in GenreState}
    assert {"name": "Polka", "count": 1} in reply["genres"]


def test_rows_are_sorted_filtered_and_searched(unchanged: tuple[Server, Path]) -> None:
    page, _ = unchanged
    for query, titles in [
        ("&search=alp", ["Alpha"]),
        ("&search=POLKA", ["Gamma"]),
        ("&search=one+alpha", ["Alpha"]),
        ("&search=%25", []),
        ("&genre=trance&sort=title", ["Alpha", "Beta"]),
        ("&genre=trance&sort=title&order=down", ["Beta", "Alpha"]),
        ("&state=yours", ["Gamma"]),
        ("&artist=Two", ["Beta"]),
        ("&state=unsure", []),
        ("&sort=nonsense'--&artist=One", ["Alpha"]),
    ]:
        assert [each["title"] for each in rows(page, query)] == titles


def test_a_track_says_why(unchanged: tuple[Server, Path]) -> None:
    page, _ = unchanged
    track = page.ask(f"/api/track/{row(page, 'Alpha')['id']}").json
    assert (track["status"], track["cause"]) == ("tagged", "chosen")
    assert f"{GENRE} 0." in track["why"]
    assert track["decided"]["scores"][0][0]
    assert [write["after"] for write in track["writes"]] == [[GENRE]]
    assert page.ask("/api/track/4711").status == 404


PARTS: list[tuple[str, int, tuple[int, int | None] | None]] = [
    ("bytes=0-", 206, (0, None)),
    ("bytes=100-199", 206, (100, 200)),
    ("bytes=-50", 206, (-50, None)),
    ("bytes=100-999999999", 206, (100, None)),
    ("bytes=999999999-", 416, None),
    ("bytes=200-100", 416, None),
    ("bytes=0-1,5-9", 200, (0, None)),
    ("lines=1-2", 200, (0, None)),
    ("bytes=-", 200, (0, None)),
]


def test_sound_comes_in_parts(unchanged: tuple[Server, Path]) -> None:
    page, library = unchanged
    for asked, status, part in PARTS:
        answer = page.ask(f"/audio/{row(page, 'Beta')['id']}", headers={"Range": asked})
        assert answer.status == status
        if part is not None:
            whole = (library / "b.mp3").read_bytes()
            assert answer.body == whole[part[0] : part[1]]
            assert answer.headers["accept-ranges"] == "bytes"
            if status == 206:
                assert answer.headers["content-range"].endswith(f"/{len(whole)}")


def test_a_file_that_is_gone_costs_one_answer(page: Server, library: Path) -> None:
    number = row(page, "Alpha")["id"]
    (library / "a.flac").unlink()
    assert page.ask(f"/audio/{number}").status == 404
    assert page.ask(f"/api/track/{number}/timeline").status == 422
    assert page.ask(f"/api/track/{number}").json["there"] is False
    assert page.post("/api/choose", {**wish(page, "Alpha"), "genres": ["Jazz"]}).json["ok"] is False
    assert page.ask(f"/audio/{row(page, 'Beta')['id']}").status == 200


def test_tracks_of_a_library_with_a_name_are_shown_and_played(
    heard: Path, make_techno: Callable[..., Path], music: Path
) -> None:
    song = make_techno(music / "a.flac", title="Alpha", artist="One")
    tag(settings_of(heard).model_copy(update={"libraries": {"albums": music}}), music)
    with serving(heard, GENRETAGGER_LIBRARIES=json.dumps({"albums": str(music)})) as running:
        running.until(lambda: names(running), lambda found: "Alpha" in found)
        number = row(running, "Alpha")["id"]
        track = running.ask(f"/api/track/{number}").json
        assert (track["path"], track["there"]) == (str(song), True)
        assert running.ask(f"/audio/{number}").status == 200
        assert running.post("/api/choose", wish(running, "Alpha", "Jazz")).json["ok"]
        assert row(running, "Alpha")["genres"] == ["Jazz"]


def test_covers_come_from_tags_or_from_beside(page: Server, library: Path) -> None:
    tags = tagged(library / "a.flac")
    picture = pictured()
    picture.data, picture.type, picture.mime = PNG, 3, "image/png"
    tags.add_picture(picture)
    tags.save()
    own = page.ask(f"/cover/{row(page, 'Alpha')['id']}")
    assert (own.status, own.headers["content-type"], own.body) == (200, "image/png", PNG)
    assert page.ask(f"/cover/{row(page, 'Beta')['id']}").status == 204
    (library / "Folder.JPG").write_bytes(b"\xff\xd8\xff" + bytes(9))
    assert page.ask(f"/cover/{row(page, 'Beta')['id']}").headers["content-type"] == "image/jpeg"
    (library / "Folder.JPG").write_bytes(b"<svg onload='alert(1)'>")
    assert page.ask(f"/cover/{row(page, 'Beta')['id']}").status == 204


def test_a_choice_is_the_owners_and_is_undone(page: Server, library: Path, heard: Path) -> None:
    song = library / "a.flac"
    reply = page.post("/api/choose", wish(page, "Alpha", "Jazz", "Swing")).json
    assert reply["ok"], reply
    assert genre_of(song) == ["Jazz", "Swing"]
    assert row(page, "Alpha")["state"] == "yours"
    outcomes = tag(settings_of(heard, policy="replace"), library)
    assert outcomes["a.flac"].reason.cause == "chosen_by_owner"
    assert genre_of(song) == ["Jazz", "Swing"]
    with Store.open(heard / "library.sqlite3") as store:
        last = next(iter(store.writes.get_all(under=song)))
        run = store.runs.get(last.run_id)
        assert (last.model, last.reason.cause, run and run.command) == ("", "chosen_listening", "serve")
    assert page.post("/api/undo", {"track": row(page, "Alpha")["id"]}).json["ok"]
    assert genre_of(song) == [GENRE]
    assert row(page, "Alpha")["state"] == "tagged"


def test_agreeing_makes_a_genre_the_owners_without_a_write(page: Server, library: Path, heard: Path) -> None:
    before = (library / "a.flac").stat()
    assert page.post("/api/choose", wish(page, "Alpha", GENRE)).json["ok"]
    after = (library / "a.flac").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert row(page, "Alpha")["state"] == "yours"
    assert page.post("/api/undo", {"track": row(page, "Alpha")["id"]}).json["ok"]
    assert genre_of(library / "a.flac") == [GENRE]


def test_a_name_that_is_none_is_refused(unchanged: tuple[Server, Path]) -> None:
    page, library = unchanged
    for genres in [["a/b"], ["x" * 300], ["\x07"], [" "], ["Jazz", "Jazz"], ["a\u202eb"]]:
        reply = page.post("/api/choose", wish(page, "Alpha", *genres)).json
        assert reply["ok"] is False
        assert genre_of(library / "a.flac") == [GENRE]


def test_what_another_window_changed_is_not_overwritten(page: Server, library: Path) -> None:
    first, second = wish(page, "Alpha", "Jazz"), wish(page, "Alpha", "Rock")
    assert page.post("/api/choose", first).json["ok"]
    reply = page.post("/api/choose", second).json
    assert reply["ok"] is False
    assert "changed meanwhile" in reply["why"]
    assert genre_of(library / "a.flac") == ["Jazz"]


def test_a_run_is_undone_and_both_commands_know(page: Server, library: Path, heard: Path) -> None:
    runs = page.ask("/api/overview").json["runs"]
    run = next(each for each in runs if each["command"] == "tag")
    assert run["done"] == 2
    assert page.post("/api/undo", {"run": run["id"]}).json == {"undone": 2, "skipped": 0, "failed": 0}
    assert genre_of(library / "a.flac") == genre_of(library / "b.mp3") == []
    assert page.post("/api/undo", {"run": run["id"]}).status == 400
    with Store.open(heard / "library.sqlite3") as store:
        newest = next(iter(store.runs.get_all()))
        assert (newest.command, newest.settings["asked"]["run"]) == ("undo", run["id"])
        assert newest.finished_at is not None


class Stream:
    """The events that a page hears."""

    def __init__(self, server: Server) -> None:
        self.events: Queue[tuple[str, Any]] = Queue()
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        self._connection.request("GET", "/api/events", headers={"Host": f"127.0.0.1:{server.port}"})
        self._answer = self._connection.getresponse()
        assert self._answer.headers["content-type"].startswith("text/event-stream")
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection.sock is not None:
            self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._answer.close()
        self._connection.close()

    def _read(self) -> None:
        kind = ""
        try:
            for line in self._answer:
                text = line.decode().strip()
                if text.startswith("event: "):
                    kind = text[7:]
                elif text.startswith("data: "):
                    self.events.put((kind, json.loads(text[6:])))
        except (OSError, ValueError, AttributeError, http.client.HTTPException):  # the server ended
            return

    def wait_for(self, kind: str, good: Callable[[Any], bool]) -> Any:
        while True:
            found, value = self.events.get(timeout=60)
            if found == kind and good(value):
                return value


def test_two_tabs_hear_of_a_choice(page: Server) -> None:
    number = row(page, "Alpha")["id"]
    with Stream(page) as first, Stream(page) as second:
        assert page.post("/api/choose", wish(page, "Alpha", "Jazz")).json["ok"]
        for tab in (first, second):
            assert tab.wait_for("tracks", lambda numbers: number in numbers)


def test_what_another_program_tags_appears(page: Server, library: Path, heard: Path, song: bytes) -> None:
    with Stream(page) as tab:
        (library / "late.flac").write_bytes(song)
        tags = tagged(library / "late.flac")
        tags.update({"title": "Late", "artist": "One"})
        tags.save()
        tag(settings_of(heard), library)
        tab.wait_for("changed", lambda _: "Late" in names(page))


def test_rows_go_with_the_index_and_come_again(heard: Path, library: Path) -> None:
    """The index is derived: without it, or with a damaged one, the page builds it again."""
    for damage in (b"", b"no database at all, but long enough to look like one" * 100, None):
        file = heard / "shelf" / "rows.sqlite3"
        file.parent.mkdir(exist_ok=True)
        if damage is None:
            file.unlink()
        else:
            file.write_bytes(damage)
        for end in ("-wal", "-shm"):
            Path(f"{file}{end}").unlink(missing_ok=True)
        with serving(heard) as server:
            server.until(partial(names, server), lambda found: {"Alpha", "Beta", "Gamma"} <= found)


def test_the_page_starts_without_any_library(server: Server) -> None:
    assert server.ask("/api/overview").json["tracks"] == 0
    assert server.ask("/api/map").json["points"] == []
    assert server.ask("/api/needs/unsure").json["rows"] == []
    assert server.ask("/api/teaching").json["own"] == 0
    assert server.post("/api/teach", {}).status == 400
    assert server.process.poll() is None
    assert (server.data_dir / "library.sqlite3").exists()
