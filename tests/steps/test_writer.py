"""What the settings forbid to write to: reported before, and not held against the file later."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import command_helpers as helpers

from genretagger.database.store import Store
from genretagger.errors import AccessError
from genretagger.files.replace import stamp_of
from genretagger.sentences import sentence
from genretagger.types import Status

MakeTechno = Callable[..., Path]


def test_hard_links_and_links_that_lead_outside(heard: Path, music: Path, make_techno: MakeTechno) -> None:
    seeding = make_techno(music.parent / "seeding.flac")
    outside = make_techno(music.parent / "outside.flac")
    (music / "seeding.flac").hardlink_to(seeding)
    (music / "outside.flac").symlink_to(outside)
    before = helpers.snapshot(music), helpers.look(seeding), helpers.look(outside)
    for dry_run in (True, False):
        by_name = helpers.tag(helpers.settings(heard), music, dry_run=dry_run)
        assert {outcome.status for outcome in by_name.values()} == {Status.SKIPPED}  # the dry run tells the truth
        assert "it is hard-linked: it has 2 names" in sentence(by_name["seeding.flac"].reason)
        assert str(outside) in sentence(by_name["outside.flac"].reason)
    assert (helpers.snapshot(music), helpers.look(seeding), helpers.look(outside)) == before
    assert helpers.writes(heard) == []  # nothing was even begun

    # The owner allows it: what was said before is not held against the files.
    allowing = helpers.settings(heard, hard_links=True, outside_links=True)
    by_name = helpers.tag(allowing, music)
    assert {outcome.status for outcome in by_name.values()} == {Status.TAGGED}
    assert helpers.genres_of(music / "seeding.flac")
    assert helpers.genres_of(seeding) == []
    assert helpers.genres_of(outside)
    assert (music / "outside.flac").is_symlink()


def test_a_container_without_genres_is_skipped(heard: Path, music: Path, make_techno: MakeTechno) -> None:
    make_techno(music / "song.tta", "tta")
    outcome = helpers.tag(helpers.settings(heard), music)["song.tta"]
    assert outcome.status is Status.SKIPPED
    assert "genres cannot be written to" in sentence(outcome.reason)
    assert outcome.scores == {}  # nobody listened in vain


def test_what_the_system_refused_is_tried_again(heard: Path, music: Path, make_techno: MakeTechno) -> None:
    song = make_techno(music / "song.flac")
    helpers.tag(helpers.settings(heard), music, dry_run=True)
    with Store.open(heard / "library.sqlite3") as store:
        full = AccessError("no space is left on the file system", path=song)
        store.tracks.save_failure(song, stamp_of(song), full)  # as a write leaves it that meets a full disk
    assert helpers.failures(heard) == [full.cause]
    assert helpers.tag(helpers.settings(heard), music)["song.flac"].status is Status.TAGGED
    assert helpers.failures(heard) == []  # what has passed is not shown for ever


def test_a_link_is_written_to_when_it_leads_somewhere_again(heard: Path, music: Path, make_techno: MakeTechno) -> None:
    (music / "link.flac").symlink_to("target.bin")
    outcome = helpers.tag(helpers.settings(heard), music / "link.flac")["link.flac"]
    assert (outcome.status, sentence(outcome.reason)[:32]) == (Status.FAILED, "the symbolic link leads nowhere.")
    make_techno(music / "song.flac").rename(music / "target.bin")
    assert helpers.tag(helpers.settings(heard), music)["link.flac"].status is Status.TAGGED
    assert helpers.failures(heard) == []
