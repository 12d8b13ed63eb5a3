"""What its owner changed stays theirs, wherever the file goes; a copy is a file of its own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import mutagen
import pytest
from command_helpers import genres_of, pipeline, tag

from genretagger.causes import Cause, because
from genretagger.config import Settings
from genretagger.database.store import Store
from genretagger.database.values import Claimant, NewJob, WriteState
from genretagger.errors import FileChangedError
from genretagger.files.replace import stamp_of
from genretagger.sentences import sentence
from genretagger.steps.ownership import Ownership
from genretagger.steps.run import Run
from genretagger.steps.schedule import wait_for
from genretagger.types import GenreField, Policy, Stamp, Status, Track

STAMP = Stamp(1000, 1, 2, 3, 4, 1)


def a_track(path: Path, *genres: str, at: Stamp = STAMP) -> Track:
    return Track(path, at, "flac", 200.0, "a" * 64, field(*genres), None)


def field(*genres: str) -> GenreField:
    return GenreField(genres, None, "Vorbis")


def note_write(
    store: Store,
    path: Path,
    before: tuple[str, ...],
    after: tuple[str, ...],
    *,
    model: str = "m",
    undo_of: int | None = None,
) -> int:
    """Put a write that took place into the history of a file."""
    why = because(Cause.SILENT)
    run = store.runs.begin("tag", {})
    number = store.writes.begin(
        run, path, "a" * 64, field(*before), field(*after), model=model, reason=why, undo_of=undo_of
    )
    store.writes.finish(number, WriteState.DONE)
    return number


def by_history(settings: Settings, store: Store, track: Track) -> Cause | None:
    reason = Ownership(settings, store.writes, store.tracks).by_history(track)
    return None if reason is None else reason.cause


def test_the_owner_changed_the_genre_after_us(
    settings: Settings, music: Path, make_techno: Callable[..., Path]
) -> None:
    song = make_techno(music / "song.flac")
    tag(settings, music)
    tags = mutagen.File(song)
    del tags["genre"]
    tags.save()
    replacing = settings.model_copy(update={"policy": Policy.REPLACE})
    for rules in (settings, replacing):
        outcome = tag(rules, music)["song.flac"]
        assert outcome.status is Status.UNCHANGED
        assert "yours" in sentence(outcome.reason)
        assert genres_of(song) == []
    assert tag(settings, music, force=True)["song.flac"].status is Status.TAGGED
    assert genres_of(song)


@pytest.mark.parametrize("policy", [Policy.KEEP, Policy.REPLACE])
@pytest.mark.parametrize("genre", [None, "Polka"])
def test_what_the_owner_changed_stays_theirs_when_the_file_is_moved(
    settings: Settings, music: Path, make_techno: Callable[..., Path], policy: Policy, genre: str | None
) -> None:
    song = make_techno(music / "song.flac")
    tag(settings, music)
    tags = mutagen.File(song)
    del tags["genre"]
    if genre:
        tags["genre"] = [genre]
    tags.save()
    (music / "album").mkdir()
    moved = song.rename(music / "album" / "moved.flac")
    for _ in range(2):
        assert tag(settings.model_copy(update={"policy": policy}), music)["moved.flac"].status is Status.UNCHANGED
        assert genres_of(moved) == ([genre] if genre else [])
        moved = moved.rename(moved.with_name("x moved.flac")).rename(moved)  # and wherever it goes from there


def test_what_the_owner_chose_stays_when_the_file_goes_to_another_disk(
    settings: Settings, music: Path, make_techno: Callable[..., Path]
) -> None:
    """Another inode: its genre is neither the written nor the earlier one: the owner chose it."""
    song = make_techno(music / "song.flac")
    tag(settings, music)
    tags = mutagen.File(song)
    tags["genre"] = ["Polka"]
    tags.save()
    moved = music / "moved.flac"
    moved.write_bytes(song.read_bytes())
    song.unlink()
    outcome = tag(settings.model_copy(update={"policy": Policy.REPLACE}), music)["moved.flac"]
    assert (outcome.status, genres_of(moved)) == (Status.UNCHANGED, ["Polka"])


def test_what_was_undone_stays_so_when_the_file_goes_to_another_disk(
    settings: Settings, music: Path, make_techno: Callable[..., Path]
) -> None:
    """Its inode changes, and it has no genre: only the undo shows that the owner wants none."""
    song = make_techno(music / "song.flac")
    tag(settings, music)
    with pipeline(settings) as opened:
        run = opened.begin("undo")
        list(opened.undo(list(opened.store.writes.get_all()), run, stop=Future()))
        opened.finish(run)
    assert genres_of(song) == []
    moved = music / "moved.flac"
    moved.write_bytes(song.read_bytes())
    song.unlink()
    outcome = tag(settings, music)["moved.flac"]
    assert (outcome.status, outcome.reason.cause, genres_of(moved)) == (Status.UNCHANGED, Cause.UNDONE, [])


def test_a_recording_that_was_deleted_and_comes_again_is_tagged_again(
    settings: Settings, music: Path, make_techno: Callable[..., Path]
) -> None:
    song = make_techno(music / "song.flac")
    fresh = song.read_bytes()
    tag(settings, music)
    again = music / "again.flac"
    again.write_bytes(fresh)  # before the other goes, so that it cannot have its inode
    song.unlink()
    assert tag(settings, music)["again.flac"].status is Status.TAGGED


def test_an_older_copy_that_comes_again_is_no_choice_of_the_owner(
    settings: Settings, music: Path, make_techno: Callable[..., Path]
) -> None:
    """It has the genre from before our write, as a backup has: nobody chose that after us."""
    song = make_techno(music / "song.flac", genre="Polka")
    backup = song.read_bytes()
    replacing = settings.model_copy(update={"policy": Policy.REPLACE})
    assert tag(replacing, music)["song.flac"].status is Status.TAGGED
    again = music / "again.flac"
    again.write_bytes(backup)  # before the other goes, so that it cannot have its inode
    song.unlink()
    assert tag(replacing, music)["again.flac"].status is Status.TAGGED


def test_a_copy_beside_what_was_undone_is_a_file_of_its_own(
    settings: Settings, music: Path, make_techno: Callable[..., Path]
) -> None:
    song = make_techno(music / "song.flac")
    tag(settings, music)
    with pipeline(settings) as opened:
        run = opened.begin("undo")
        list(opened.undo(list(opened.store.writes.get_all()), run, stop=Future()))
        opened.finish(run)
    (music / "copy.flac").write_bytes(song.read_bytes())
    outcomes = tag(settings, music)
    assert (outcomes["song.flac"].reason.cause, genres_of(song)) == (Cause.UNDONE, [])
    assert outcomes["copy.flac"].status is Status.TAGGED


def test_only_the_file_that_we_wrote_counts_as_written(
    settings: Settings, music: Path, make_techno: Callable[..., Path]
) -> None:
    """A copy has our genres as well, but not by a decision on it."""
    song = make_techno(music / "song.flac")
    tag(settings, music)
    copy = music / "copy.flac"
    copy.write_bytes(song.read_bytes())
    with pipeline(settings) as opened:
        tracks = [wait_for(opened.knowledge.track(each, force=False)) for each in (song, copy)]
        written = [opened.ownership.is_written(track) for track in tracks]
    assert written == [True, False]


@pytest.mark.parametrize(("ended", "left"), [(Cause.NOT_CONFIDENT, True), (Cause.HARD_LINKED, False), (None, True)])
def test_what_was_refused_may_be_written(settings: Settings, store: Store, ended: Cause | None, left: bool) -> None:
    track = a_track(Path("/music/a.flac"))
    store.tracks.save(track)
    me = Claimant("service/engine")
    store.jobs.add(me, [NewJob(track.path, track.path.parent)])
    assert store.jobs.claim(me, lease_s=60, attempts=3) is not None
    store.jobs.finish(me, track.path, settings.rules_key, ended)
    reason = Ownership(settings, store.writes, store.tracks).reason(track, Run(1, dry_run=False, once=True))
    assert reason == (because(Cause.HANDLED_BEFORE) if left else None)


def test_an_undo_on_a_disk_that_is_not_mounted_here_says_nothing_of_a_copy(settings: Settings, music: Path) -> None:
    original = music / "talk" / "a.flac"
    with Store.open(settings.database, libraries={"talk": original.parent}) as there:
        written = note_write(there, original, (), ("Trance",))
        note_write(there, original, ("Trance",), (), model="", undo_of=written)
        assert by_history(settings, there, a_track(music / "copy.flac")) is Cause.UNDONE, "it was moved"
    with Store.open(settings.database) as here:
        assert by_history(settings, here, a_track(music / "copy.flac")) is None


def test_an_untagged_copy_of_a_file_that_is_gone_was_not_edited(settings: Settings, store: Store, music: Path) -> None:
    """A fresh download has no genre, although the file we wrote to had one before us."""
    note_write(store, music / "song.flac", ("Polka",), ("Trance",))
    again = music / "again.flac"
    again.write_bytes(b"the same audio")
    assert by_history(settings, store, a_track(again, at=stamp_of(again))) is None
    assert by_history(settings, store, a_track(again, "Jazz", at=stamp_of(again))) is Cause.CHANGED_BY_OWNER


@pytest.mark.parametrize(("chosen_by", "ours"), [("m", True), ("", False)], ids=["a model's", "the owner's"])
def test_what_the_owner_chose_does_not_count_as_our_write(
    settings: Settings, store: Store, music: Path, chosen_by: str, ours: bool
) -> None:
    note_write(store, music / "song.flac", (), ("Trance",), model=chosen_by)
    ownership = Ownership(settings, store.writes, store.tracks)
    assert ownership.is_written(a_track(music / "song.flac", "Trance")) is ours


def test_what_another_genretagger_wrote_since_we_read_the_file_is_not_the_owners_edit(
    settings: Settings, store: Store, music: Path
) -> None:
    song = music / "song.flac"
    song.write_bytes(b"without a genre")
    read = a_track(song, at=stamp_of(song))
    song.write_bytes(b"with a genre, which another genretagger wrote")
    note_write(store, song, (), ("Trance",))
    with pytest.raises(FileChangedError):
        by_history(settings, store, read)
    assert by_history(settings, store, a_track(song, "Trance", at=stamp_of(song))) is None
    assert by_history(settings, store, a_track(song, at=stamp_of(song))) is Cause.CHANGED_BY_OWNER
