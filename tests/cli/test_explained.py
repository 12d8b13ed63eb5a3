"""`show` explains a file as `tag` decides on it, in each state and by each policy."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from album_helpers import ELECTRONIC
from album_helpers import Library as Album
from audio_factory import make
from command_helpers import retag, rows
from command_helpers import settings as settings_of
from explained_scenes import ALL, CASES, MIN_SCORE, OPTIONS, STRICTER, TAGGED, Case, Command, Scene

from genretagger.config import Settings
from genretagger.database.store import Store
from genretagger.errors import AudioError
from genretagger.types import Json, Stamp


@pytest.mark.parametrize(("cases", "more"), [(CASES, {}), (STRICTER, {MIN_SCORE: "0.999"})])
def test_show_and_tag_agree(
    genretagger: Command, settings: Settings, music: Path, cases: dict[str, Case], more: dict[str, str]
) -> None:
    library = Album(settings, music)
    options = {"GENRETAGGER_MIN_DURATION_S": "0.4", "GENRETAGGER_PROTECT": "Christmas", **more}
    with ExitStack() as during:
        songs = {name: make_file(Scene(library, name, during)) for name, (make_file, _) in cases.items()}
        for policy in ALL:
            both = [
                genretagger(*command, *songs.values(), "--json", **options, GENRETAGGER_POLICY=policy).lines
                for command in (["show"], ["tag", "--dry-run"])
            ]
            shown, tagged = ({line["path"]: line for line in lines} for lines in both)
            assert len(shown) == len(tagged) == len(songs)
            found = {name: _agreed(shown[str(song)], tagged[str(song)]) for name, song in songs.items()}
            assert found == {name: causes[policy] for name, (_, causes) in cases.items()}, policy
            rules = settings_of(settings.data_dir, **OPTIONS, policy=policy, min_score=float(more.get(MIN_SCORE, 0.5)))
            on_page = _on_the_page(rules, songs)
            assert on_page == {
                name: (shown[str(song)]["status"], shown[str(song)]["cause"]) for name, song in songs.items()
            }


def test_the_page_reads_no_file(genretagger: Command, settings: Settings, music: Path) -> None:
    """It says that a file was changed; how an earlier one failed says nothing about it."""
    library = Album(settings, music)
    song, broken = library.add("song", ELECTRONIC), library.add("broken", ELECTRONIC)
    library.tag(dry_run=True)
    rules = settings_of(settings.data_dir, min_duration_s=0.4)
    with Store.open(settings.database) as store:
        store.tracks.save_failure(broken, Stamp.of(broken.stat()), AudioError("no frames"))
    songs = {"song": song, "broken": broken}
    assert _on_the_page(rules, songs) == {"song": ("unchanged", "not_written"), "broken": ("failed", "undecodable")}
    retag(song, "Polka")
    os.utime(broken, (1, 1))
    assert _on_the_page(rules, songs) == dict.fromkeys(songs, ("failed", "changed_meanwhile"))
    song.unlink()
    assert _on_the_page(rules, songs)["song"] == ("failed", "gone")


def _on_the_page(settings: Settings, songs: dict[str, Path]) -> dict[str, tuple[str, str]]:
    """What the page says of files that the database knows."""
    pytest.importorskip("starlette", reason="the extra `web` is not installed, so the page is not tested")
    from genretagger.web import views
    from genretagger.web.desk import Books

    books = Books(settings)
    with books.store, books.index:
        numbers = {name: books.store.listings.get_id(song) or 0 for name, song in songs.items()}
        facts = {name: views.track(books, number) for name, number in numbers.items()}
        books.explainer.close()
    return {name: (each["status"], each["cause"]) for name, each in facts.items()}


def _agreed(shown: Json, tagged: Json) -> Json:
    """The cause that both commands give; both lines if they do not agree."""
    if shown["cause"] == "not_written" and tagged["status"] == "tagged":
        agree = (shown["status"], shown["reason"]) == ("unchanged", f"decided, but not written: {tagged['reason']}")
        return shown["cause"] if agree else (shown, tagged)
    if (shown["status"], tagged["status"]) == ("tagged", "unchanged"):
        return TAGGED if tagged["cause"] in ("has_genre", shown["cause"]) else (shown, tagged)
    agree = (shown["status"], shown["cause"]) == (tagged["status"], tagged["cause"])
    return shown["cause"] if agree else (shown, tagged)


def test_what_tag_would_have_to_hear_was_not_listened_to(genretagger: Command, heard: Path, music: Path) -> None:
    song = make(music / "new.flac", "flac", seconds=6.0)
    (shown,) = genretagger("show", song, "--json").lines
    assert (shown["status"], shown["cause"]) == ("unchanged", "not_listened_to")
    song = make(music / "polka.flac", "flac", seconds=6.0, genre="Polka")
    for policy, cause in (("keep", "has_genre"), ("add", "not_listened_to")):
        (shown,) = genretagger("show", song, "--json", GENRETAGGER_POLICY=policy).lines
        assert (shown["status"], shown["cause"]) == ("unchanged", cause)


def test_the_owners_genre_is_told_with_what_would_have_been_chosen(
    genretagger: Command, heard: Path, music: Path, make_techno: Callable[..., Path]
) -> None:
    song = make_techno(music / "song.flac", genre="Polka")
    unheard = make(music / "other.flac", "flac", seconds=6.0, genre="Polka")
    dry = genretagger("tag", "--dry-run", "--json", song, GENRETAGGER_POLICY="replace").lines[0]
    for path, options, reason in (
        (song, {}, f"it has a genre, which stays: {dry['reason']}"),
        (song, {MIN_SCORE: "0.999"}, "it has a genre"),  # nobody has decided by this rule
        (unheard, {}, "not listened to, as it has a genre and policy = keep leaves it"),
    ):
        (shown,) = genretagger("show", path, "--json", **options).lines
        assert (shown["status"], shown["cause"], shown["reason"]) == (
            "unchanged",
            "has_genre",
            reason,
        )


def test_who_had_a_file_open_before_says_nothing_about_now(
    genretagger: Command, heard: Path, music: Path, make_techno: Callable[..., Path]
) -> None:
    song = make_techno(music / "song.flac")
    with song.open("r+b"):
        assert genretagger("tag", song, "--json").lines[0]["cause"] == "busy"
        assert genretagger("show", song, "--json").lines[0]["cause"] == "busy"
    assert genretagger("show", song, "--json").lines[0]["cause"] == "not_written"


def test_show_stores_nothing(genretagger: Command, heard: Path, music: Path, make_techno: Callable[..., Path]) -> None:
    song = make_techno(music / "song.flac")
    tables = ("models", "tracks", "analyses", "decisions", "runs", "writes")
    before = rows(heard, *tables)
    (shown,) = genretagger("show", song, "--json", GENRETAGGER_MIN_SCORE="0.999").lines
    assert shown["cause"] == "not_confident"
    assert rows(heard, *tables) == before
