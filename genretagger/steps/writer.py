"""Changes tags and records it: announce the write in the database, write, mark it as done.

The music file itself is handled by a child process, by the protocol of `files.replace`. What a kill
leaves between two of the three steps is settled by looking at the file, which holds either the old
genres or the new ones. If a leftover copy cannot be removed, its write stays pending until a later
start can remove it.
"""

from __future__ import annotations

import os
from concurrent.futures import Future
from pathlib import Path

from genretagger.causes import Reason
from genretagger.config import Settings
from genretagger.database.store import Store
from genretagger.database.values import StoredWrite, WriteState
from genretagger.errors import AccessError, FileError, WorkerError, WriteRefusedError
from genretagger.files.discover import Found
from genretagger.files.replace import new_temporary_name, remove_left_over
from genretagger.steps.refusal import Refusals
from genretagger.steps.schedule import Flow, Step, interleave
from genretagger.tags.api import Change, NewGenres, OldGenres, WriteOptions
from genretagger.types import GenreField, TagChange, Track
from genretagger.worker.pool import WorkerPool


class Writer:
    """Writes genres, and puts back what was there before.

    Args:
        settings: how to write.
        store: the database.
        workers: the child processes.
    """

    def __init__(self, settings: Settings, store: Store, workers: WorkerPool) -> None:
        self._store = store
        self._workers = workers
        self.refusals = Refusals(settings)
        self.options = WriteOptions(
            id3v23_separator=settings.id3v23_separator,
            allow_hard_links=settings.hard_links,
            allow_outside=settings.outside_links,
            preserve_mtime=settings.preserve_mtime,
        )

    def look(self, path: Path) -> Flow[Track]:
        """Read a file again, whatever the database knows of it, and store the result.

        Raises:
            FileError: it cannot be read.
        """
        track: Track = yield Step(self._workers.inspect(path, options=self.options))
        self._store.tracks.save(track)
        return track

    def write(
        self,
        file: Found,
        track: Track,
        wanted: tuple[str, ...] | GenreField,
        *,
        run_id: int,
        model: str,
        reason: Reason,
        undo_of: int | None = None,
    ) -> Flow[None]:
        """Change the genre field of one file.

        Args:
            file: where it is, and the folder that the write must not leave.
            track: what the file was when the change was decided.
            wanted: the new genres, or a field to put back exactly.
            run_id: the run that this write belongs to.
            model: name of the model that the genres come from.
            reason: why.
            undo_of: number of the write that this one undoes.

        Raises:
            FileError: nothing was written, and the reason.
        """
        temporary_name = new_temporary_name(track.path)
        after = wanted if isinstance(wanted, GenreField) else GenreField(wanted, None, track.genres.form)
        change: Change = OldGenres(wanted.raw) if isinstance(wanted, GenreField) else NewGenres(wanted)
        write_id = self._store.writes.begin(
            run_id,
            track.path,
            track.payload_hash,
            track.genres,
            after,
            model=model,
            reason=reason,
            temporary_name=temporary_name,
            undo_of=undo_of,
        )
        yield Step(self._store.kept(), must_finish=True)  # nobody could undo a write without a record
        writing = self._workers.write(
            track, change, root=file.root, temporary_name=temporary_name, options=self.options
        )
        try:
            written: TagChange = yield Step(writing, must_finish=True)
        except (WorkerError, AccessError):
            # The child may have died, or the disk failed, before the swap or after it.
            yield from self._settle(self._store.writes.get(write_id))
            if self._store.writes.get(write_id).state is not WriteState.DONE:
                raise
            return
        except FileError:
            # A copy that is there still may hold the original: then the swap took place and could
            # not be taken back.
            if not os.path.lexists(_folder(track.path) / temporary_name):
                self._store.writes.finish(write_id, WriteState.ABANDONED)
            raise
        if _removed(track.path, temporary_name):
            self._store.writes.finish(write_id, WriteState.DONE, after=written.after, stamp=written.stamp)

    def announce(self, track: Track, genres: tuple[str, ...], *, run_id: int, model: str, reason: Reason) -> int:
        """Note a write that another program is about to make by its own rules; `settle` ends it.

        Args:
            track: what the file is now.
            genres: as they will be read back.
            run_id: the run that this write belongs to.
            model: name of the model that the genres come from.
            reason: why.

        Returns:
            The number of the write.
        """
        after = GenreField(genres, None, track.genres.form)
        return self._store.writes.begin(
            run_id, track.path, track.payload_hash, track.genres, after, model=model, reason=reason
        )

    def settle(self, write_id: int) -> Flow[None]:
        """Record whether a write that was announced took place, and what the file holds now.

        The other program may spell the genres in its own way: whatever is new in the
        field counts as its write.
        """
        write = self._store.writes.get(write_id)
        try:
            track: Track = yield Step(self._workers.inspect(write.path, options=self.options), must_finish=True)
        except FileError:
            return  # it is not known now; the next start settles it
        took_place = track.payload_hash == write.payload_hash and track.genres.values != write.before.values
        state = WriteState.DONE if took_place else WriteState.ABANDONED
        self._store.writes.finish(write.id, state, after=track.genres, stamp=track.stamp)

    def recover(self) -> None:
        """Settle the writes that a kill interrupted, by what is in the files."""
        flows = (self._settle(write) for write in self._store.writes.get_pending())
        for _ in interleave(flows, width=1, stop=Future()):
            pass

    def recover_below(self, folder: Path, command: str) -> None:
        """Settle what a command's runs left pending in a folder, whichever machine they ran on.

        The caller knows that nobody else writes there by such a run now.
        """
        flows = (self._settle(write) for write in self._store.writes.get_pending(command=command, under=folder))
        for _ in interleave(flows, width=1, stop=Future()):
            pass

    def _settle(self, write: StoredWrite) -> Flow[None]:
        """Find out whether an interrupted write happened, record it, and remove its leftover copy.

        If that cannot be done now (the disk is not mounted, or a copy is on one that is
        read-only), the write stays pending until a later start can: a write that took place must
        not be forgotten, or nobody could undo it.
        """
        if not os.path.isdir(_folder(write.path)):  # noqa: PTH112 - Path.is_dir() raises where a folder above is closed
            return
        if write.temporary_name is not None and not _removed(write.path, write.temporary_name):
            return
        try:
            track: Track = yield Step(self._workers.inspect(write.path, options=self.options), must_finish=True)
        except FileError as error:
            if not (error.retry and os.path.lexists(write.path)):
                self._store.writes.finish(write.id, WriteState.ABANDONED)
            return
        if track.payload_hash == write.payload_hash and track.genres.values == write.after.values:
            self._store.writes.finish(write.id, WriteState.DONE, after=track.genres, stamp=track.stamp)
        else:
            self._store.writes.finish(write.id, WriteState.ABANDONED)


def _folder(path: Path) -> Path:
    """The folder of the file that a path leads to, and of its copies."""
    return Path(os.path.realpath(path)).parent


def _removed(path: Path, temporary_name: str) -> bool:
    """Remove the copy that a write left, and say whether there is none now."""
    try:
        remove_left_over(_folder(path), temporary_name)
    except AccessError:
        return False
    except WriteRefusedError:
        return True  # not a name of ours, from a damaged database: there is no copy of ours to remove
    return True
