"""`undo` takes writes back and nothing else, one step at a time; `redo` puts back what it took."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import command_helpers as helpers
import pytest

from genretagger.causes import recorded
from genretagger.cli.undoing import Asked, UndoRequest, Words
from genretagger.database.store import Store
from genretagger.database.values import WriteKind, WriteState

Command = Callable[..., Any]
MakeTechno = Callable[..., Path]
TECHNO = ["Trance"]


def test_back_and_forth_by_run(genretagger: Command, heard: Path, music: Path, make_techno: MakeTechno) -> None:
    first, second = music / "first/song.flac", music / "second/song.flac"
    for song in (first, second):
        song.parent.mkdir()
        make_techno(song)
        helpers.tag(helpers.settings(heard), song.parent)
    runs = [write.run_id for write in helpers.writes(heard)]
    tagged = {song: song.read_bytes() for song in (first, second)}

    for run, song in ((runs[1], second), (runs[0], first)):  # each undo goes one run further back
        undone = genretagger("undo", "--last")
        assert undone.status == 0
        assert f"undo of run {run} (tag, " in undone.err
        assert "1 write undone" in undone.err
        assert helpers.genres_of(song) == []
    for song in (first, second):  # and each redo one forth
        redone = genretagger("redo", "--last", "--json")
        assert redone.status == 0
        (line,) = redone.lines
        assert (line["path"], line["status"], line["genres"], line["model"]) == (
            str(song),
            "tagged",
            TECHNO,
            "musicnn-yamnet",
        )
        assert "1 write put back, 0 skipped, 0 failed" in redone.err
        assert song.read_bytes() == tagged[song]
    nothing = genretagger("redo", "--last")
    assert (nothing.status, nothing.err) == (0, "genretagger: nothing is left to put back\n")


@pytest.mark.slow
def test_what_was_put_back_is_ours_again(
    genretagger: Command, heard: Path, music: Path, make_techno: MakeTechno
) -> None:
    song = make_techno(music / "song.flac")
    helpers.tag(helpers.settings(heard), music)
    (write,) = helpers.writes(heard)
    assert genretagger("undo", song).status == 0
    dry = genretagger("redo", song, "--dry-run")
    assert (dry.status, dry.out.split()[:2]) == (0, ["would", "redo"])
    assert helpers.genres_of(song) == []
    assert genretagger("redo", "--run", str(write.run_id)).status == 0  # the run that was undone, or the undo
    outcome = helpers.tag(helpers.settings(heard, policy="replace", aliases={"Trance": "Electronic"}), music)[
        "song.flac"
    ]
    assert (outcome.status.value, outcome.genres) == ("tagged", ("Electronic",))

    _, redo, undo, write = reversed(helpers.writes(heard))
    answer = genretagger("history", "--json", song).lines[1:]
    assert [each["kind"] for each in answer] == ["redo", "undo", "write"]
    assert [each["model"] for each in answer] == ["musicnn-yamnet", "", "musicnn-yamnet"]
    assert [each["of_run"] for each in answer] == [write.run_id, write.run_id, None]
    assert [each["undone_by"] for each in answer] == [None, redo.run_id, undo.run_id]
    said = genretagger("history", song).out
    assert f"  done, redo of run {write.run_id}  " in said
    assert f"  undo of run {write.run_id}, redone by run {redo.run_id}  " in said
    assert f"  undone by run {undo.run_id}  " in said


def test_an_undo_is_not_undone(genretagger: Command, heard: Path, music: Path, make_techno: MakeTechno) -> None:
    song = make_techno(music / "song.flac")
    helpers.tag(helpers.settings(heard), music)
    assert genretagger("undo", song).status == 0
    undo = helpers.writes(heard)[-1]
    wrong = genretagger("undo", "--run", str(undo.run_id))
    assert wrong.status == 2
    assert f"genretagger redo --run {undo.run_id}" in wrong.err
    assert helpers.genres_of(song) == []
    assert genretagger("redo", "--run", str(undo.run_id)).status == 0
    assert helpers.genres_of(song) == TECHNO
    redo = helpers.writes(heard)[-1]
    assert genretagger("undo", "--run", str(redo.run_id)).status == 0  # a redo is a write like any other
    assert helpers.genres_of(song) == []


@pytest.mark.slow
def test_back_and_forth_by_folder(genretagger: Command, heard: Path, music: Path, make_techno: MakeTechno) -> None:
    twice, once = make_techno(music / "twice.flac"), make_techno(music / "once.flac", genre="Rock")
    helpers.tag(helpers.settings(heard), music)
    helpers.tag(helpers.settings(heard, policy="replace", aliases={"Trance": "Electronic"}), music)
    states = [(["Electronic"], ["Electronic"]), (TECHNO, ["Rock"]), ([], ["Rock"])]
    for before, after in itertools.pairwise(states):
        assert (helpers.genres_of(twice), helpers.genres_of(once)) == before
        assert genretagger("undo", music).status == 0
        assert (helpers.genres_of(twice), helpers.genres_of(once)) == after
    for after in ((TECHNO, ["Electronic"]), (["Electronic"], ["Electronic"])):
        assert genretagger("redo", music).status == 0
        assert (helpers.genres_of(twice), helpers.genres_of(once)) == after
    assert "nothing is left to put back" in genretagger("redo", music).err


@pytest.mark.slow
def test_a_new_write_ends_what_could_be_put_back(
    genretagger: Command, heard: Path, music: Path, make_techno: MakeTechno
) -> None:
    song = make_techno(music / "song.flac")
    helpers.tag(helpers.settings(heard), music)
    wrong = genretagger("redo", music)
    assert (wrong.status, "nothing was undone there" in wrong.err) == (2, True)
    assert genretagger("undo", music).status == 0
    helpers.tag(helpers.settings(heard, aliases={"Trance": "Electronic"}), music, force=True)
    for command in (["redo", music], ["redo", "--last"]):
        nothing = genretagger(*command)
        assert (nothing.status, nothing.err) == (0, "genretagger: nothing is left to put back\n")
    assert helpers.genres_of(song) == ["Electronic"]


def test_after_a_partial_failure_the_same_command_finishes_the_rest(
    genretagger: Command, heard: Path, music: Path, make_techno: MakeTechno
) -> None:
    songs = [make_techno(music / f"{name}.flac") for name in ("a", "b")]
    helpers.tag(helpers.settings(heard), music)
    good = songs[1].read_bytes()
    songs[1].unlink()
    songs[1].mkdir()  # it cannot be read for now
    for command in (["undo", "--last"], ["undo", music]):
        part = genretagger(*command)
        assert part.status == 1
        assert "run the same command again" in part.err
        assert helpers.genres_of(songs[0]) == []
    songs[1].rmdir()
    songs[1].write_bytes(good)
    rest = genretagger("undo", music, "--json")
    assert rest.status == 0
    assert [line["path"] for line in rest.lines] == [str(songs[1])]
    assert [helpers.genres_of(song) for song in songs] == [[], []]


def test_a_second_try_takes_no_second_step(heard: Path, music: Path, make_techno: MakeTechno) -> None:
    song = make_techno(music / "song.flac")
    helpers.tag(helpers.settings(heard), music)
    helpers.tag(helpers.settings(heard, aliases={"Trance": "Electronic"}, policy="replace"), music, force=True)
    words, asked = Words("undo", "undone", ""), Asked((music,), last=False, run=None, force=False)
    with Store.open(heard / "library.sqlite3") as store:
        assert [write.after.values for write in store.writes.get_all()] == [("Electronic",), tuple(TECHNO)]

        def chosen() -> list[int]:
            request = UndoRequest(words, asked, store, helpers.unexpected)
            return [write.id for write in request.newest(lambda path: store.writes.get_undoable(under=path))]

        newest, older = (write.id for write in store.writes.get_all())
        assert chosen() == [newest]
        request = UndoRequest(words, asked, store, helpers.unexpected)
        run = store.runs.begin("undo", {"asked": request.as_json()})
        write = store.writes.get(newest)
        undo = store.writes.begin(
            run, song, write.payload_hash, write.after, write.before, model="", reason=recorded("r"), undo_of=newest
        )
        store.writes.finish(undo, WriteState.DONE)
        assert chosen() == []  # as long as the rest of that run is not done
        store.runs.finish(run)
        assert chosen() == [older]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write all")
def test_what_may_not_be_written_is_skipped(
    genretagger: Command, heard: Path, music: Path, make_techno: MakeTechno
) -> None:
    song = make_techno(music / "song.flac")
    helpers.tag(helpers.settings(heard), music)
    song.chmod(0o400)
    for options in (["--dry-run"], []):
        (line,) = genretagger("undo", "--last", "--json", *options).lines
        assert line["status"] == "skipped"
    song.chmod(0o600)
    assert "1 write undone" in genretagger("undo", "--last").err  # it is still the last run


@pytest.mark.slow
def test_a_hard_linked_file_is_skipped_as_by_tag(
    genretagger: Command, heard: Path, music: Path, make_techno: MakeTechno
) -> None:
    song = make_techno(music / "song.flac")
    helpers.tag(helpers.settings(heard), music)
    other = music / "other.flac"
    other.hardlink_to(song)
    for options in (["--dry-run"], []):
        ended = genretagger("undo", "--last", "--json", *options)
        assert ended.status == 0
        assert ended.lines[0]["status"] == "skipped"
        assert "hard-linked" in ended.lines[0]["reason"]
    other.unlink()
    assert "1 write undone" in genretagger("undo", "--last").err  # it is still the last run


def test_an_old_database_with_an_undo_of_an_undo(heard: Path, music: Path, make_techno: MakeTechno) -> None:
    """Until now a second `undo` put genres back, as another undo."""
    song = make_techno(music / "song.flac")
    helpers.tag(helpers.settings(heard), music)
    with Store.open(heard / "library.sqlite3") as store:
        (write,) = store.writes.get_all()
        chain = [write]
        for _ in range(3):
            last = chain[-1]
            run = store.runs.begin("undo", {})
            row = store.writes.begin(
                run,
                song,
                last.payload_hash,
                last.after,
                last.before,
                model="musicnn-yamnet",
                reason=recorded("r"),
                undo_of=last.id,
            )
            store.writes.finish(row, WriteState.DONE)
            chain.append(store.writes.get(row))
            kinds = [each.kind for each in reversed(list(store.writes.get_all()))]
            stands = len(chain) % 2 == 1
            assert [each.id for each in store.writes.get_undoable()] == ([row] if stands else [])
            assert [each.id for each in store.writes.get_redoable(under=music)] == ([] if stands else [row])
            newest = store.writes.get_last(song, last.payload_hash)
            assert newest is not None
            assert newest.is_undone is not stands
        assert kinds == [WriteKind.WRITE, WriteKind.UNDO, WriteKind.REDO, WriteKind.UNDO]
        runs = [each.run_id for each in chain]
        stored = [store.writes.get(each.id) for each in chain]
        assert [each.undone_by for each in stored] == [*runs[1:], None]
        assert [each.of_run for each in stored] == [None, runs[0], runs[0], runs[2]]
        assert store.writes.get_last_run() is None
        assert store.writes.get_last_undo() is not None
