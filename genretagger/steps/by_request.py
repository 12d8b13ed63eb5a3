"""The stages one by one, for programs such as beets that decide which file to write, and when.

Each call handles one file and waits until it is done. Nothing of the file is opened if the database
knows it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from genretagger.causes import Cause, Reason, because
from genretagger.database.analyses import Analyses
from genretagger.database.undos import Undos
from genretagger.errors import FileError, WriteRefusedError
from genretagger.files.discover import Found
from genretagger.model.listener import Listener
from genretagger.sentences import sentence
from genretagger.steps.knowledge import Knowledge
from genretagger.steps.run import Run
from genretagger.steps.schedule import wait_for
from genretagger.steps.writer import Writer
from genretagger.types import Decision, GenreField, Track


class ByRequest:
    """The stages of a pipeline, one by one; every method raises FileError if a file cannot be read.

    Args:
        analyses: what was heard.
        undos: the history of writes.
        writer: writes.
        knowledge: reads.
        listener: the model.
    """

    def __init__(
        self, analyses: Analyses, undos: Undos, writer: Writer, knowledge: Knowledge, listener: Listener
    ) -> None:
        self._analyses, self._undos = analyses, undos
        self._writer, self._knowledge, self._listener = writer, knowledge, listener

    def read(self, path: Path) -> Track:
        """Read what a file is, unless the database knows."""
        return wait_for(self._knowledge.track(path, force=False))

    def decide_together(self, paths: Iterable[Path]) -> Decision:
        """Choose genres from what was heard in several files; silent files are ignored."""
        listener, heard = self._listener, []
        for path in paths:
            try:
                track = self.read(path)
            except FileError:
                continue
            analysis = self._analyses.get(track.payload_hash, listener.fingerprint, listener.sampling)
            if analysis is not None and analysis.activations is not None:
                heard.append(analysis.activations)
        return listener.decide(*heard) if heard else Decision((), {}, because(Cause.NOTHING_HEARD))

    def refusal(self, path: Path, *, in_place: bool) -> Reason | None:
        """Say why a file should not be written; see `Refusals.of`."""
        return self._writer.refusals.of(Found(path, path.parent), self.read(path), in_place=in_place)

    def announce(self, path: Path, genres: tuple[str, ...], run: Run, reason: Reason) -> int | None:
        """Record a write that the other program will make; None if the file has these genres."""
        track = self.read(path)
        if track.genres.values == genres:
            return None
        return self._writer.announce(track, genres, run_id=run.id, model=self._listener.name, reason=reason)

    def settle(self, write_id: int) -> None:
        """Find out whether a write that was announced took place."""
        wait_for(self._writer.settle(write_id))

    def write(self, path: Path, genres: tuple[str, ...], run: Run, reason: Reason) -> int | None:
        """Write genres by our own protocol.

        Returns:
            The number of the write; None if the file has these genres already.

        Raises:
            FileError: nothing was written, and the reason.
        """
        if refusal := self.refusal(path, in_place=False):
            raise WriteRefusedError(sentence(refusal), path=path)
        track = self.read(path)
        if track.genres.values == genres:
            return None
        self.put(track, genres, run, model=self._listener.name, reason=reason)
        last = self._undos.get_last(path, track.payload_hash)
        return last.id if last is not None else None

    def put(
        self,
        track: Track,
        wanted: tuple[str, ...] | GenreField,
        run: Run,
        *,
        model: str,
        reason: Reason,
        undo_of: int | None = None,
    ) -> None:
        """Write genres, or a field as it was, without asking for permission; see `Writer.write`."""
        file = Found(track.path, track.path.parent)
        wait_for(self._writer.write(file, track, wanted, run_id=run.id, model=model, reason=reason, undo_of=undo_of))
