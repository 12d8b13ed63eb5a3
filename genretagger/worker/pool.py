"""A pool of child processes: music files go in, what is known of them comes out, as futures.

    with WorkerPool(2, Limits()) as pool:
        track = pool.inspect(path).result()

If a file fails, only its own future fails (a `FileError`, as the child raised it, or a
`WorkerError`) and the next file gets a fresh child. A child that dies before it opened the file
costs nothing: another one is asked, once. If that one dies as well, every file would fail, so the
future fails with a `NoWorkersError`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from math import prod
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias, TypeVar

from genretagger import launch
from genretagger.addresses import absolute
from genretagger.audio.mel import Ear, frequencies
from genretagger.audio.windows import LONGEST_LISTENING_S
from genretagger.config import Settings
from genretagger.errors import FileError, NoWorkersError, WorkerError
from genretagger.files.objects import Fetched
from genretagger.tags.api import Change, WriteOptions
from genretagger.types import Credits, Frames, Json, Sound, TagChange, Trace, Track
from genretagger.worker import protocol, wire
from genretagger.worker.handle import Child, NotBegun, Reply
from genretagger.worker.limits import Limits, hopeless_limit

__all__ = ["Limits", "WorkerPool"]

_Result = TypeVar("_Result")
_Parse: TypeAlias = Callable[[Json, bytearray], _Result]
"""Makes the result of a child's answer and of the samples or frames behind it."""

WRITE_GRACE_S = 60.0
"""How long a write may go on when the pool closes in a hurry: a few hundred MB on a slow disk."""

_START = "Raise the limits on memory and processes (ulimit, the container's); `genretagger doctor` says more."

_DEFAULTS = WriteOptions()


class WorkerPool:
    """Child processes, started when they are needed; use it as a context manager.

    Args:
        jobs: files handled at once.
        limits: what one file may cost.
        command: what starts a child, for tests.

    Raises:
        ConfigError: no child can be started by this Python.
        NoWorkersError: the limit on memory leaves too little for any file.
    """

    def __init__(self, jobs: int, limits: Limits | None = None, *, command: Sequence[str] | None = None) -> None:
        if (cause := hopeless_limit()) is not None:
            raise NoWorkersError(f"no child process can be started: {cause}", hint=_START)
        self._limits = limits or Limits()
        self._command = list(command) if command is not None else launch.command("worker")
        self._jobs = jobs
        self._threads = ThreadPoolExecutor(jobs, thread_name_prefix="genretagger-worker")
        self._changed = threading.Condition()
        self._idle: list[Child] = []
        self._busy: dict[Child, str] = {}
        self._closing = False
        self._fetched = Fetched()
        self._ears: tuple[Sequence[Ear], str] | None = None  # of the last model, and as they are sent to a child

    @classmethod
    def of(cls, settings: Settings, jobs: int | None = None) -> Self:
        """Child processes within the limits of the settings; as many as these say, or `jobs`."""
        return cls(jobs or settings.worker_count, Limits.of(settings))

    def warm_up(self, most: int) -> None:
        """Start children ahead of requests: they load their libraries while the caller goes on.

        Args:
            most: how many files there are at most, if that is known.
        """
        with self._changed:
            missing = min(most, self._jobs) - len(self._idle) - len(self._busy)
            new = [Child(self._command, self._limits) for _ in range(missing)]
            self._idle += new
        for child in new:
            child.start()

    def inspect(self, path: Path, *, options: WriteOptions = _DEFAULTS) -> Future[Track]:
        """Read what is known of a file without listening to it: kind, length, payload hash, genres.

        Args:
            path: the file.
            options: for the separator of ID3v2.3.

        Returns:
            A future that may fail with a `FileError`.
        """
        path = absolute(path)
        request = {"op": "inspect", "options": asdict(options)}
        return self._submit(path, request, lambda result, _: protocol.track_from_json(result, path))

    def credit(self, path: Path) -> Future[Credits]:
        """Read who plays, and on which album; a future that may fail with a `FileError`."""
        return self._submit(absolute(path), {"op": "credit"}, lambda result, _: protocol.credits_from_json(result))

    def decode(
        self,
        path: Path,
        *,
        count: int | None,
        window_s: float,
        rate_hz: int,
        window_samples: int,
        margin_samples: int,
    ) -> Future[Sound]:
        """Decode the windows of a track that hold anything to hear.

        Args:
            path: the file.
            count: how many windows, spread over the track; None for all.
            window_s: seconds of a window, and between two when all are heard.
            rate_hz: the rate that the model hears.
            window_samples: samples of a window, margins included.
            margin_samples: samples of it that are before the window's start.

        Returns:
            A future of the windows that are not silent: none of a silent track. It may fail with a
                `FileError`.
        """
        request = {
            "op": "decode",
            "count": count,
            "window_s": window_s,
            "rate_hz": rate_hz,
            "window_samples": window_samples,
            "margin_samples": margin_samples,
        }
        parse = partial(protocol.sound_from_json, rate_hz=rate_hz, window_samples=window_samples)
        most_body = 4 * window_samples * _most_windows(count, window_s)
        return self._submit(absolute(path), request, parse, most_body=most_body)

    def hear(
        self,
        path: Path,
        *,
        count: int | None,
        ears: Sequence[Ear],
        length_s: float | None = None,
        stage: int | None = None,
    ) -> Future[Frames]:
        """Decode a track's windows in which anything happens, and return what its front ends give.

        Args:
            path: the file.
            count: how many windows, spread over the track; None for all.
            ears: of the model, the first of which sets the length of the windows and the rate.
            length_s: of the track, as `inspect` gave it; None to find it out again.
            stage: only those windows that `windows.stage_of` chooses; None for all.

        Returns:
            A future of the frames; a silent track, or one of only steady noise, has none. It
            may fail with a `FileError`.
        """
        main = ears[0].front_end
        request = {
            "op": "hear",
            "ears": self._told(ears),
            "length_s": length_s,
            "stage": stage,
            "count": count,
            **{name: getattr(main, name) for name in ("window_s", "rate_hz", "window_samples", "margin_samples")},
        }
        shapes = [ear.front_end.shape for ear in ears]
        most_body = 4 * sum(map(prod, shapes)) * _most_windows(count, main.window_s)
        parse = partial(protocol.frames_from_json, shapes=shapes)
        return self._submit(absolute(path), request, parse, most_body=most_body)

    def trace(self, path: Path, *, ears: Sequence[Ear], columns: int, fourier: bool = False) -> Future[Trace]:
        """Decode a whole track, and give what a model's front ends make of it and a picture.

        Args:
            path: the file.
            ears: of the model; the first one sets the windows, and its bands are those of the
                picture.
            columns: the most columns of the picture; it has more than half as many, unless the
                track has fewer frames.
            fourier: picture the frequencies of the Fourier transform instead of the bands.

        Returns:
            A future that may fail with a `FileError`.
        """
        most_windows = _most_windows(None, ears[0].front_end.window_s)
        shown = frequencies(ears[0]) if fourier else ears[0]
        request = {
            "op": "trace",
            "ears": self._told(ears),
            "most_windows": most_windows,
            "most_columns": columns,
            "fourier": fourier,
        }
        values = sum(prod(ear.front_end.shape) for ear in ears)
        most_body = 4 * (values * most_windows + columns * (shown.front_end.mels + 2))
        parse = partial(protocol.trace_from_json, ears=ears, most_columns=columns, fourier=fourier)
        return self._submit(absolute(path), request, parse, most_body=most_body)

    def _told(self, ears: Sequence[Ear]) -> str:
        """A model's front ends, in the form that is sent to a child."""
        if self._ears is None or self._ears[0] != ears:
            self._ears = ears, protocol.ears_to_text(ears)
        return self._ears[1]

    def write(
        self,
        track: Track,
        change: Change,
        *,
        root: Path,
        temporary_name: str,
        options: WriteOptions = _DEFAULTS,
    ) -> Future[TagChange]:
        """Change the genre of a file, and nothing else; see `tags.api.write`.

        Args:
            track: as `inspect` gave it: the file must still have its stamp and its payload.
            change: what to write.
            root: the library folder that the file must be in.
            temporary_name: from `files.new_temporary_name`, written down before the call.
            options: how to write.

        Returns:
            A future that may fail with a `FileError`; after a `WorkerError` the file is as it was
            or fully written.
        """
        path = absolute(track.path)
        request = {
            "op": "write",
            "root": protocol.path_to_json(root.absolute()),
            "change": protocol.change_to_json(change),
            "expected": asdict(track.stamp),
            "payload_hash": track.payload_hash,
            "temporary_name": temporary_name,
            "options": asdict(options),
        }
        return self._submit(path, request, lambda result, _: protocol.tag_change_from_json(result, path))

    def _submit(
        self, path: Path, request: dict[str, Json], parse: _Parse[_Result], *, most_body: int = 0
    ) -> Future[_Result]:
        request["path"] = protocol.path_to_json(path)
        try:
            return self._threads.submit(self._handle, path, request, parse, most_body)
        except RuntimeError as error:
            if "start new thread" not in str(error):
                raise
            raise NoWorkersError("the system does not allow another thread", hint=_START) from error

    def _handle(self, path: Path, request: dict[str, Json], parse: _Parse[_Result], most_body: int) -> _Result:
        """Have one file handled by a child, in a thread that waits for it."""
        child: Child | None = None
        try:
            child, reply = self._ask(request, most_body)
            self._count(protocol.fetched_from_json(reply.header.get("fetched")))
            if "error" in reply.header:
                raise protocol.error_from_json(reply.header["error"], path)
            return parse(reply.header["result"], reply.body)
        except (wire.ProtocolError, KeyError) as error:
            if child is not None:
                child.kill(WorkerError("it sent an invalid answer"))
                child.retired = True
            raise WorkerError(
                f"the child process sent an invalid answer: {error}", path=path, hint="The file may be hostile."
            ) from error
        except FileError as error:
            error.path = path
            raise
        finally:
            if child is not None:
                self._give_back(child)

    def _count(self, fetched: Fetched) -> None:
        with self._changed:
            before = self._fetched
            self._fetched = Fetched(before.bytes + fetched.bytes, before.requests + fetched.requests)

    def take_fetched(self) -> Fetched:
        """What the children have read of objects since the last call."""
        with self._changed:
            taken, self._fetched = self._fetched, Fetched()
        return taken

    def _ask(self, request: dict[str, Json], most_body: int) -> tuple[Child, Reply]:
        """Ask a child; one that died before it began is replaced, once."""
        first: NotBegun | None = None
        while True:
            child = self._lease(request["op"])
            try:
                return child, child.ask(request, most_body=most_body)
            except NotBegun as error:
                self._give_back(child)
                if first is not None:
                    raise NoWorkersError(f"no child process can be started: {error}", hint=_START) from error
                first = error
            except BaseException:
                self._give_back(child)
                raise

    def _lease(self, operation: str) -> Child:
        with self._changed:
            if self._closing and operation != "write":
                raise WorkerError("stopped before it was done")
            child = self._idle.pop() if self._idle else Child(self._command, self._limits)
            self._busy[child] = operation
            return child

    def _give_back(self, child: Child) -> None:
        if child.retired:
            child.close()
        with self._changed:
            if self._busy.pop(child, None) is not None and not child.retired:
                self._idle.append(child)
            self._changed.notify_all()

    def close(self, finish: bool = True) -> None:
        """End the children.

        Args:
            finish: let everything that was asked for be done; else only writes in progress are
                waited for.
        """
        if not finish:
            with self._changed:
                self._closing = True
                self._threads.shutdown(wait=False, cancel_futures=True)
                for child, operation in self._busy.items():
                    if operation != "write":
                        child.kill(WorkerError("stopped before it was done"))
                self._changed.wait_for(lambda: not self._busy, WRITE_GRACE_S)
                for child in self._busy:
                    child.kill(WorkerError("stopped before it was done"))
        self._threads.shutdown(wait=True)
        with self._changed:
            self._closing = True
            idle, self._idle = self._idle, []
        for child in idle:
            child.close()

    def process_ids(self) -> list[int]:
        """The numbers of the children that live now, for diagnosis."""
        with self._changed:
            children = (*self._idle, *self._busy)
        return [number for child in children if (number := child.process_id) is not None]

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(finish=error is None)


def _most_windows(count: int | None, window_s: float) -> int:
    most = max(1, int(LONGEST_LISTENING_S / window_s))
    return most if count is None else min(count, most)
