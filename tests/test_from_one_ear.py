"""A library that was heard by the former default model meets the new one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from audio_factory import make
from command_helpers import genres_of, pipeline, tag

from genretagger.config import Settings, load
from genretagger.database.store import Store
from genretagger.database.values import WriteState
from genretagger.model import InstalledModel
from genretagger.model.listener import Listener
from genretagger.types import Policy, Status


@pytest.fixture
def old(
    data_dir: Path,
    one_ear: InstalledModel,
    music: Path,
    make_techno: Callable[..., Path],
    techno_samples: npt.NDArray[np.float32],
) -> Settings:
    """Settings of a library that `musicnn` heard: it tagged one track, and not another one."""
    folder = data_dir / "models" / one_ear.name
    folder.mkdir()
    for file in one_ear.folder.iterdir():
        (folder / file.name).hardlink_to(file)
    settings = load(data_dir=data_dir, device="cpu", threads=1, jobs=1, model="musicnn")
    make_techno(music / "tagged.flac")
    make(music / "unsure.flac", "flac", samples=0.8 * techno_samples)
    certain = settings.model_copy(update={"min_score": 0.999})
    assert tag(certain, music)["unsure.flac"].status is Status.SKIPPED
    (music / "unsure.flac").rename(data_dir / "unsure.flac")
    assert tag(settings, music)["tagged.flac"].status is Status.TAGGED
    (data_dir / "unsure.flac").rename(music / "unsure.flac")
    return settings


def with_both(settings: Settings) -> Settings:
    return settings.model_copy(update={"model": "musicnn-yamnet"})


def test_nothing_that_was_written_or_heard_is_lost(
    old: Settings, music: Path, store: Store, one_ear: InstalledModel
) -> None:
    song = music / "tagged.flac"
    written, before = genres_of(song), store.reports.get(song)
    assert written
    assert before is not None
    outcomes = tag(with_both(old), music)
    # what has a genre needs no decision, and is not listened to
    assert outcomes["tagged.flac"].status is Status.UNCHANGED
    assert genres_of(song) == written
    after = store.reports.get(song)
    assert after is not None
    assert after.writes == before.writes
    assert [each.state for each in after.writes] == [WriteState.DONE]
    assert after.decisions == before.decisions
    assert after.analyses == before.analyses
    assert {each.fingerprint for each in after.analyses} == {one_ear.sha256}


def test_a_track_is_heard_again_when_its_next_decision_is_needed(
    old: Settings, music: Path, store: Store, model: InstalledModel, one_ear: InstalledModel
) -> None:
    assert tag(with_both(old), music)["unsure.flac"].status is Status.TAGGED
    known = store.reports.get(music / "unsure.flac")
    assert known is not None
    assert {each.fingerprint for each in known.analyses} == {one_ear.sha256, model.sha256}
    assert {each.model for each in known.decisions} == {"musicnn", "musicnn-yamnet"}
    assert genres_of(music / "unsure.flac")
    # with another policy, a track that has a genre needs a decision as well
    tag(with_both(old).model_copy(update={"policy": Policy.REPLACE}), music)
    known = store.reports.get(music / "tagged.flac")
    assert known is not None
    assert {each.fingerprint for each in known.analyses} == {one_ear.sha256, model.sha256}


def test_what_the_old_model_wrote_can_still_be_undone(
    old: Settings, music: Path, data_dir: Path, genretagger: Callable[..., object]
) -> None:
    tag(with_both(old), music)
    ended = genretagger("undo", music / "tagged.flac")
    assert ended.status == 0, ended.err  # type: ignore[attr-defined]
    assert genres_of(music / "tagged.flac") == []


def test_a_configuration_that_names_the_old_model_keeps_it(
    old: Settings, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[object] = []
    monkeypatch.setattr(Listener, "over_time", lambda *frames: heard.append(frames))
    with pipeline(old) as opened:
        assert opened.listener.name == "musicnn"
        assert len(opened.listener.labels) == 100
    outcomes = tag(old, music)
    assert outcomes["unsure.flac"].status is Status.TAGGED  # from what it heard before
    assert heard == []
