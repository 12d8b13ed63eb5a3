"""Tracks of one album are decided together: real files and database, made-up model output.

The activations are put into the database beforehand, so nothing here is listened to: a track is
known by its audio.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path

import pytest
from album_helpers import ALBUM, ELECTRONIC, JAZZY, SPEECH, Library, outcomes
from command_helpers import genres_of, rows, writes

from genretagger.config import Settings
from genretagger.database.store import Store
from genretagger.files.discover import Found
from genretagger.model.listener import Listener
from genretagger.sentences import sentence
from genretagger.steps.together import Given
from genretagger.types import Albums, Decision, Outcome, Policy, Status
from genretagger.vocabulary.calibration import Scores


@pytest.fixture
def library(settings: Settings, music: Path) -> Library:
    return Library(settings, music)


def genres(found: Mapping[str, Outcome]) -> dict[str, tuple[str, ...]]:
    return {name: outcome.genres for name, outcome in sorted(found.items())}


def test_an_album_gets_one_answer_and_a_track_that_truly_differs_its_own(library: Library) -> None:
    for name, sound in ALBUM.items():
        library.add(name, sound)
    each, pool = library.tag(dry_run=True, album=Albums.EACH), library.tag()
    assert "Jazz" in each["3"].genres
    assert {outcome.status for outcome in pool.values()} == {Status.TAGGED}
    assert len({pool[name].genres for name in "12345"}) == 1
    assert pool["3"].genres[0] == "Electronic"
    assert pool["6"].genres == each["6"].genres != pool["1"].genres
    assert {name: tuple(genres_of(library.music / f"{name}.flac")) for name in pool} == genres(pool)
    assert "decided with its album (5 of 6 tracks are alike)" in sentence(pool["3"].reason)
    assert "differs from its album" in sentence(pool["6"].reason)
    assert "album" not in sentence(each["3"].reason)


def test_doubts_about_an_album_take_no_genre_from_its_tracks(library: Library) -> None:
    """Each of the two is sure enough by itself; the mean of both is not."""
    between = {label: level + 0.3 * (ELECTRONIC.get(label, 0) - level) for label, level in JAZZY.items()}
    library.add("1", between)
    library.add("2", JAZZY)
    found = library.tag()
    assert genres(found) == {"1": ("Electronic",), "2": ("Jazz",)}
    assert "album" not in sentence(found["1"].reason)


def test_a_dry_run_and_a_plan_say_what_would_be_written(library: Library) -> None:
    for name, sound in ALBUM.items():
        library.add(name, sound)
    planned: dict[str, tuple[str, ...]] = {}
    with library.open() as opened:
        run = opened.begin("tag", plan=lambda entry: planned.update({entry.path.stem: entry.after}))
        list(opened.tag(library.files(), run, stop=Future()))
        opened.finish(run)
    dry = library.tag(dry_run=True)
    assert writes(library.settings.data_dir) == []
    assert planned == genres(dry) == genres(library.tag())


@pytest.mark.parametrize("jobs", [1, 3])
def test_the_order_makes_no_difference(library: Library, jobs: int) -> None:
    for name, sound in ALBUM.items():
        library.add(name, sound)
    expected = library.tag(dry_run=True)
    library.tag(dry_run=True, album=Albums.EACH)  # so that the decisions are made again
    files = library.files()
    random.Random(jobs).shuffle(files)
    again = library.tag(files, dry_run=True, jobs=jobs)
    assert genres(again) == genres(expected)
    assert {name: each.scores for name, each in again.items()} == {name: each.scores for name, each in expected.items()}


@pytest.mark.parametrize(
    "tags",
    [
        pytest.param({"artist": "{}", "album": "Works"}, id="an artist each"),
        pytest.param({"artist": "Anna", "album": "Works", "albumartist": "Various Artists"}, id="a compilation"),
        pytest.param({"artist": "Anna", "album": "Works", "compilation": "1"}, id="a compilation by its flag"),
        pytest.param({"artist": "Anna", "album": "{}"}, id="an album each"),
        pytest.param({"artist": "Anna", "album": ""}, id="no album"),
    ],
)
def test_what_is_no_album_by_one_artist_is_decided_track_by_track(library: Library, tags: dict[str, str]) -> None:
    for name, sound in ALBUM.items():
        library.add(name, sound, **{key: value.format(name) for key, value in tags.items()})
    each, pool = library.tag(dry_run=True, album=Albums.EACH), library.tag(dry_run=True)
    assert genres(each) == genres(pool)
    assert len({outcome.genres for outcome in pool.values()}) > 2


def test_folders_are_albums_of_their_own_but_those_of_discs(library: Library) -> None:
    for name, sound in (("a/1", ELECTRONIC), ("a/2", ELECTRONIC), ("b/3", JAZZY), ("b/4", JAZZY)):
        library.add(name, sound)
    for name, sound in (("c/CD 1/1", ELECTRONIC), ("c/CD 1/2", ELECTRONIC), ("c/CD 2/1", JAZZY)):
        library.add(name, sound)
    found = library.tag(dry_run=True)
    assert "Jazz" in found["b/3"].genres
    assert found["c/CD 2/1"].genres == found["c/CD 1/1"].genres
    assert "Jazz" not in found["c/CD 2/1"].genres


def test_a_track_that_is_added_later_does_not_rewrite_the_others(library: Library) -> None:
    for name in "1345":
        library.add(name, ALBUM[name])
    first = library.tag(policy=Policy.REPLACE)
    before = {path: path.stat() for path in library.music.iterdir()}
    library.add("7", JAZZY)
    library.add("8", JAZZY)
    again = library.tag(policy=Policy.REPLACE)
    assert {again[name].status for name in first} == {Status.UNCHANGED}
    assert {path: path.stat() for path in before} == before
    assert {again[name].status for name in "78"} == {Status.TAGGED}
    assert len({again[name].genres for name in "78"}) == 1
    assert len(writes(library.settings.data_dir)) == 6
    assert "(6 of 6 tracks are alike)" in sentence(again["7"].reason)


def test_tracks_that_are_tagged_are_evidence_if_they_were_heard_before(library: Library) -> None:
    """Nobody is listened to for the sake of others, and what has a genre is not written."""
    for name in "1245":
        library.add(name, ALBUM[name], genre="Mine")
    library.add("unheard", None, genre="Mine")
    library.add("3", JAZZY)
    heard = rows(library.settings.data_dir, "analyses")
    found = library.tag()
    assert found["3"].genres[0] == "Electronic"
    assert "(5 of 5 tracks are alike)" in sentence(found["3"].reason)
    assert [name for name, outcome in found.items() if outcome.status is Status.TAGGED] == ["3"]
    assert rows(library.settings.data_dir, "analyses") == heard


def test_a_single_file_of_an_album_is_decided_with_those_that_are_known(library: Library) -> None:
    for name, sound in ALBUM.items():
        library.add(name, sound)
    whole = library.tag(dry_run=True)
    one = library.tag([Found(library.music / "3.flac", library.music)], dry_run=True)
    assert genres(one) == {"3": whole["3"].genres}


def test_a_decision_is_made_again_if_the_evidence_is_other(library: Library, store: Store) -> None:
    song = library.add("3", JAZZY)
    alone = library.tag(dry_run=True)["3"]
    assert "Jazz" in alone.genres
    for name in "1245":
        library.add(name, ALBUM[name])
    together = library.tag(dry_run=True)["3"]
    assert "Jazz" not in together.genres
    known = store.reports.get(song)
    assert known is not None
    assert known.decisions[0].decision.genres == together.genres
    made_at = known.decisions[0].decided_at
    assert library.tag(dry_run=True)["3"].genres == together.genres
    again = store.reports.get(song)
    assert again is not None
    assert again.decisions[0].decided_at == made_at  # nothing changed, and nothing was decided again


def test_a_file_that_fails_costs_only_itself(library: Library) -> None:
    for name, sound in ALBUM.items():
        library.add(name, sound)
    (library.music / "4.flac").write_bytes(b"fLaC and then nothing of the kind")
    found = library.tag()
    assert found.pop("4").status is Status.FAILED
    assert {outcome.status for outcome in found.values()} == {Status.TAGGED}
    assert "(4 of 5 tracks are alike)" in sentence(found["3"].reason)


def test_an_interrupted_album_goes_on_as_if_nothing_had_been(library: Library) -> None:
    for name, sound in ALBUM.items():
        library.add(name, sound)
    expected = genres(library.tag(dry_run=True))
    with library.open() as opened:
        run, stop = opened.begin("tag"), Future[None]()
        results = opened.tag(library.files(), run, stop=stop)
        next(results)
        stop.set_result(None)
        list(results)
    written = {write.path.stem for write in writes(library.settings.data_dir)}
    assert 0 < len(written) < len(ALBUM)
    library.tag()
    assert len(writes(library.settings.data_dir)) == len(ALBUM)
    assert {name: tuple(genres_of(library.music / f"{name}.flac")) for name in ALBUM} == expected


def test_another_program_may_know_the_albums(library: Library) -> None:
    """beets does, whatever the tags in the files say."""
    paths = [
        library.add(f"folder {name}/{name}", sound, artist=name, album=f"Track {name}") for name, sound in ALBUM.items()
    ]
    with library.open() as opened:
        found = outcomes(opened, library.music, library.files(), dry_run=True, grouping=Given([paths]))
    by_name = {Path(name).name: outcome.genres for name, outcome in found.items()}
    assert len({by_name[name] for name in "12345"}) == 1
    assert by_name["6"] != by_name["1"]


def test_sounds_that_are_no_music_get_no_genre_from_their_album(library: Library) -> None:
    for name in "1245":
        library.add(name, ALBUM[name])
    library.add("spoken", SPEECH)
    found = library.tag()
    assert (found["spoken"].status, found["spoken"].genres) == (Status.SKIPPED, ())
    assert "does not sound like music" in sentence(found["spoken"].reason)
    assert "Electronic" in found["1"].genres


def test_no_decision_is_computed_in_the_main_loop(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, sound in ALBUM.items():
        library.add(name, sound)
    library.add("single", JAZZY, album="Another")
    library.add("speech", SPEECH, album="A third")
    threads: list[str] = []
    choose = Listener.choose

    def watched(listener: Listener, scores: Scores) -> Decision:
        threads.append(threading.current_thread().name)
        return choose(listener, scores)

    monkeypatch.setattr(Listener, "choose", watched)
    found = library.tag(dry_run=True)
    assert {outcome.status for outcome in found.values()} == {Status.TAGGED, Status.SKIPPED}
    assert len(threads) >= len(found)
    assert all(name.startswith("genretagger-deciding") for name in threads)
