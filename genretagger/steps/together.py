"""Deciding on the tracks of an album together, from what the database knows of all of them.

Evidence is what the present model said of the album's files, those of this run and those that were
heard before; no track is analysed only to help another. The members (see `pool`) get one decision,
made from the mean over all of them; each outlier gets its own. Decisions are stored with a key that
names the evidence: when a track is added, they are made again the next time they are needed. A file
that has the genres that we wrote keeps its decision, so it is not written again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from genretagger.addresses import is_object
from genretagger.model.batching import then
from genretagger.model.listener import Listener
from genretagger.steps.album import albums, files_at, home
from genretagger.steps.pool import FORMULAS, Voice, members
from genretagger.steps.recall import SILENT, Recall
from genretagger.steps.schedule import Flow, Step
from genretagger.types import Activations, Decision, Track


class Grouping(Protocol):
    """Knows which files may be one album."""

    name: str
    """Part of the key of stored decisions; empty if each file is decided by itself."""

    def place(self, path: Path) -> Hashable:
        """Which group a file belongs to; those of a group come one after the other."""

    def beside(self, path: Path) -> Sequence[Path]:
        """All files of a file's group, also those that are not in this run."""

    def albums(self, tracks: Mapping[Path, Track]) -> list[list[Path]]:
        """The albums among files of one group."""


class Each:
    """Treats each file by itself."""

    name = ""

    def place(self, path: Path) -> Hashable:
        """The file's own path: each file is its own group."""
        return path

    def beside(self, path: Path) -> Sequence[Path]:
        """Returns nothing: no file belongs to another."""
        del path
        return ()

    def albums(self, tracks: Mapping[Path, Track]) -> list[list[Path]]:
        """Returns nothing: there are no albums."""
        del tracks
        return []


class ByFolder:
    """Albums by folder and tags, as `album` says."""

    name = "pool"

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._files: Sequence[Path] | None = None

    def place(self, path: Path) -> Hashable:
        """The album's folder; in a folder that is too large for an album, each file by itself."""
        if self._folder != home(path):
            self._folder = home(path)
            self._files = files_at(self._folder)
        return path if self._files is None else self._folder

    def beside(self, path: Path) -> Sequence[Path]:
        """The files in an album's folder; none if it is too large."""
        if is_object(path):  # listing it costs one request or more
            self.place(path)
            return self._files or ()
        return files_at(home(path)) or ()

    def albums(self, tracks: Mapping[Path, Track]) -> list[list[Path]]:
        """Those that have one album and one artist in their tags."""
        return albums({path: track.credits for path, track in tracks.items()})


class Given:
    """Albums that another program knows.

    Args:
        groups: the files of each album.
    """

    name = "pool"

    def __init__(self, groups: Iterable[Sequence[Path]]) -> None:
        self._of = {path: tuple(group) for group in groups for path in group}

    def in_order(self, paths: Iterable[Path]) -> list[Path]:
        """Each file once, with those of an album one after the other."""
        places: dict[Hashable, dict[Path, None]] = {}
        for path in paths:
            places.setdefault(self.place(path), {})[path] = None
        return [path for files in places.values() for path in files]

    def place(self, path: Path) -> Hashable:
        """The album; a file of no album by itself."""
        return self._of.get(path, path)

    def beside(self, path: Path) -> Sequence[Path]:
        """The files of the same album."""
        return self._of.get(path, ())

    def albums(self, tracks: Mapping[Path, Track]) -> list[list[Path]]:
        """All of them, as the other program says so."""
        return [sorted(tracks)] if len(tracks) > 1 else []


class Together:
    """The decisions on files of one group, once all of them were heard.

    Args:
        knowledge: what is known of files.
        grouping: knows the albums.
        tracks: the files of this run in one group.
        is_written: whether a file has the genres that were written to it by a decision.
        force: make decisions again that are known.
    """

    def __init__(
        self,
        knowledge: Recall,
        grouping: Grouping,
        tracks: Iterable[Track],
        *,
        is_written: Callable[[Track], bool],
        force: bool,
    ) -> None:
        self._knowledge, self._grouping = knowledge, grouping
        self._tracks = {track.path: track for track in tracks}
        self._is_written, self._force = is_written, force
        self._albums: dict[Path, _Album] | None = None

    def decision(self, track: Track) -> Flow[Decision]:
        """Choose the genres of one of the files, and keep the decision."""
        if self._albums is None:
            self._albums = self._find()
        knowledge, album = self._knowledge, self._albums.get(track.path)
        rules = "/".join(filter(None, (knowledge.listener.rules_key, self._grouping.name)))
        key = f"{rules}/{album.digest}" if album is not None else rules
        if not self._force:
            known = knowledge.known_decision(track, key)
            if known is None and self._is_written(track):
                known = knowledge.known_decision(track, rules, or_below=True)
            if known is not None:
                return known
        heard = knowledge.heard(track)
        if heard is None or heard.activations is None:
            return SILENT
        decision = None
        if album is not None:
            decision = yield from album.decision(track, heard.activations)
        if decision is None:
            decision = yield from knowledge.decided(heard.activations)
        return knowledge.keep(track, decision, key=key)

    def _find(self) -> dict[Path, _Album]:
        everyone = dict(self._tracks)
        for path in self._grouping.beside(next(iter(self._tracks))):
            if path not in everyone and (track := self._knowledge.known(path)) is not None:
                everyone[path] = track
        found = (
            _Album(self._knowledge, [everyone[path] for path in paths]) for paths in self._grouping.albums(everyone)
        )
        return {path: album for album in found for path in album.paths}


class _Album:
    """The tracks of one album, and what was heard in them; equal audio counts once.

    Args:
        knowledge: what is known of files.
        tracks: of the album.
    """

    def __init__(self, knowledge: Recall, tracks: Sequence[Track]) -> None:
        self._knowledge = knowledge
        self.paths = [track.path for track in tracks]
        self._evidence: dict[str, Activations] = {}
        for track in sorted(tracks, key=lambda track: track.payload_hash):  # whatever the order of the files
            heard = knowledge.heard(track)
            if heard is not None and heard.activations is not None:
                self._evidence[track.payload_hash] = heard.activations
        self.digest = hashlib.sha256(" ".join([str(FORMULAS), *self._evidence]).encode()).hexdigest()
        self._count = len(self._evidence)
        self._common: Future[_Common] | None = None

    def decision(self, track: Track, heard: Activations) -> Flow[Decision | None]:
        """Choose the genres of one track: its album's, or its own if it differs from the others.

        Args:
            track: of the album.
            heard: in that track.

        Returns:
            The decision; None if the tracks have nothing in common, or get no genre together.
        """
        listener = self._knowledge.listener
        if self._common is None:
            evidence, self._evidence = self._evidence, {}  # not held longer than needed
            self._common = listener.deciding.submit(partial(_common, listener, evidence))
        common: _Common = yield Step(then(self._common, lambda common: common))  # several tracks wait for it
        if common.decision is None:
            return None
        is_outside = track.payload_hash not in common.members
        decision = (yield from self._knowledge.decided(heard)) if is_outside else common.decision
        about = {"alike": len(common.members), "of": self._count, "outside": is_outside}
        return replace(decision, reason=replace(decision.reason, figures={**decision.reason.figures, "album": about}))


@dataclass(frozen=True, slots=True)
class _Common:
    """What the tracks of an album have in common: the genres of its members, if there are any."""

    decision: Decision | None = None
    members: frozenset[str] = frozenset()


def _common(listener: Listener, evidence: Mapping[str, Activations]) -> _Common:
    """Find what some tracks have in common; pure.

    Args:
        listener: scores and chooses.
        evidence: what was heard, by payload hash.
    """
    if len(evidence) < 2:
        return _Common()
    voices = [_voice(listener, each) for each in evidence.values()]
    inside = [name for name, belongs in zip(evidence, members(voices), strict=True) if belongs]
    decision = listener.decide(*(evidence[name] for name in inside)) if inside else None
    if decision is None or not decision.genres:  # an unsure album must not take the genre from a track that is sure
        return _Common()
    return _Common(decision, frozenset(inside))


def _voice(listener: Listener, activations: Activations) -> Voice:
    scores = listener.scores(activations)
    return Voice(scores, activations.embedding, bool(listener.choose(scores).genres))
