"""The child process: reads a request, handles its one file and answers, until the pipe closes.

The pipes are moved away from the standard descriptors first, so that nothing that a library prints
gets into an answer; standard output then is standard error, of which the parent keeps the end to
tell why a child died.

A separate thread watches the pipe. When the parent is gone, work in progress may end
within a limit, but no music file is changed any more, because the next process may have settled
what the parent left.
"""

from __future__ import annotations

import errno
import faulthandler
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict
from io import FileIO
from pathlib import Path
from queue import SimpleQueue
from typing import BinaryIO, TypeAlias

from genretagger.addresses import is_object
from genretagger.errors import (
    AudioError,
    BugError,
    FileChangedError,
    FileError,
    UnsupportedFileError,
    WorkerError,
    WorkerMemoryError,
    WriteRefusedError,
)
from genretagger.files.kinds import Kind, kind_of
from genretagger.files.objects import Fetched, ObjectFile, take_fetched
from genretagger.files.replace import access_errors, open_for_reading
from genretagger.tags.api import WriteOptions
from genretagger.types import Json, Sound, Stamp, Track, Window
from genretagger.worker import protocol, shown, wire
from genretagger.worker.limits import (
    LEAST_MB,
    SYSTEM_FAULT_STATUS,
    Limits,
    forbid_core_dumps,
    ignore_stop_signals,
    limit_cpu,
    limit_memory,
    resident_mb,
    too_little_memory,
)

Operation: TypeAlias = Callable[[Path, Json], tuple[Json, wire.Buffer]]
"""Path and request → result, and samples or frames."""

PARENT_ID = os.getppid()
"""The number of the process that started this one."""

ORPHAN_GRACE_S = 30.0
"""How long a child may go on after its parent died."""


def inspect(path: Path, request: Json) -> tuple[Json, wire.Buffer]:
    """Read what is known of a file without listening to it; of an object, as little as possible."""
    from genretagger.audio import listen
    from genretagger.tags import api, credits

    with access_errors(path), open_for_reading(path) as file:  # closing can fail as well
        remote = file if isinstance(file, ObjectFile) else None
        stamp = Stamp.of(os.fstat(file.fileno())) if remote is None else remote.stamp
        kind = _kind(file, path)
        try:
            duration_s = listen.duration(file, kind, sparing=remote is not None)
        except (AudioError, UnsupportedFileError):
            duration_s = None  # its tags can be read anyway; decoding it will report what is wrong
        payload_hash, gap = api.survey(file, kind) if remote is None else (remote.identity(kind.name), None)
        genres = api.read(file, kind, WriteOptions(**request["options"]), sparing=remote is not None)
        refusal = gap or (api.refusal(file, kind) if remote is None else None)  # nothing is written to an object
        track = Track(path, stamp, kind.name, duration_s, payload_hash, genres, refusal, credits.read(file))
        if remote is not None:
            remote.see_unchanged()
        elif Stamp.of(os.fstat(file.fileno())) != stamp:
            raise FileChangedError("the file changed while it was read", hint="It will be read again.")
    return protocol.without_path(track), b""


def credit(path: Path, request: Json) -> tuple[Json, wire.Buffer]:
    """Read who plays, and on which album."""
    from genretagger.tags import credits

    del request
    with access_errors(path), open_for_reading(path) as file:  # closing can fail as well
        _kind(file, path)
        return asdict(credits.read(file)), b""


def decode(path: Path, request: Json) -> tuple[Json, wire.Buffer]:
    """Decode the windows that are not silent."""
    sound = _decoded(path, request)
    return protocol.sound_to_json(sound), sound.samples.data


def hear(path: Path, request: Json) -> tuple[Json, wire.Buffer]:
    """Decode the windows that are not silent or steady, as the model's front ends give them."""
    from genretagger.audio.mel import heard

    ears = protocol.ears_from_text(request["ears"])
    sound = _decoded(path, request)
    kept, frames = heard(sound.samples, request["margin_samples"], ears)
    return protocol.frames_to_json([sound.windows[number] for number in kept]), frames.data


def trace(path: Path, request: Json) -> tuple[Json, wire.Buffer]:
    """Decode a whole file, and give what a model's front ends make of it and a picture."""
    from genretagger.audio import trace as whole

    with access_errors(path), open_for_reading(path) as file:  # closing can fail as well
        traced, body = whole.trace(
            file,
            _kind(file, path),
            protocol.ears_from_text(request["ears"]),
            most_windows=request["most_windows"],
            most_columns=request["most_columns"],
            fourier=request["fourier"],
        )
    return asdict(traced), body.data


def _decoded(path: Path, request: Json) -> Sound:
    """The windows that are not silent."""
    from genretagger.audio import listen, silence
    from genretagger.audio.windows import spread, stage_of

    def windows_of(duration_s: float) -> tuple[Window, ...]:
        windows = spread(duration_s, window_s=request["window_s"], count=request["count"])
        return stage_of(windows, request.get("stage"))

    with access_errors(path), open_for_reading(path) as file:  # closing can fail as well
        sound = listen.decode(
            file,
            _kind(file, path),
            windows_of=windows_of,
            rate_hz=request["rate_hz"],
            window_samples=request["window_samples"],
            margin_samples=request["margin_samples"],
            length_s=request.get("length_s"),
            sparing=isinstance(file, ObjectFile),
        )
    silent = silence.silent_windows(sound)
    if silent.any():
        windows = tuple(window for window, skip in zip(sound.windows, silent, strict=True) if not skip)
        sound = Sound(sound.samples[~silent], sound.rate_hz, windows)
    return sound


def write(path: Path, request: Json) -> tuple[Json, wire.Buffer]:
    """Change the genre of a file."""
    from genretagger.audio import listen
    from genretagger.tags import api

    if is_object(path):
        raise WriteRefusedError("object storage is read only", path=path, hint="Only results are kept of it.")
    change = api.write(
        path,
        root=protocol.path_from_json(request["root"]),
        change=protocol.change_from_json(request["change"]),
        expected=Stamp(**request["expected"]),
        payload_hash=request["payload_hash"],
        temporary_name=request["temporary_name"],
        options=WriteOptions(**request["options"]),
        audio_sample=listen.sample,
        step=_see_parent,
    )
    return protocol.without_path(change), b""


def _see_parent(step: str) -> None:
    """Stop a write just before the swap if the parent is gone: nobody could record and undo it."""
    if step == "compared" and os.getppid() != PARENT_ID:
        raise WorkerError("the process that asked for the write is gone")


OPERATIONS: Mapping[str, Operation] = {
    "inspect": inspect,
    "credit": credit,
    "decode": decode,
    "hear": hear,
    "trace": trace,
    "write": write,
    "look": shown.look,
    "cover": shown.cover,
    "transcode": shown.transcode,
}


def _kind(file: BinaryIO, path: Path) -> Kind:
    kind = kind_of(file)
    if kind is None:
        cause = "not audio that genretagger knows" if file.seek(0, os.SEEK_END) else "the file is empty"
        raise UnsupportedFileError(cause, path=path)
    return kind


def main(operations: Mapping[str, Operation] = OPERATIONS) -> None:
    """Serve until the pipe closes."""
    incoming, outgoing = _move_pipes()
    ignore_stop_signals()
    forbid_core_dumps()
    faulthandler.enable()
    requests: SimpleQueue[Json | None] = SimpleQueue()
    threading.Thread(target=_listen, args=(incoming, requests), daemon=True).start()
    try:
        _load()
    except (ImportError, MemoryError) as error:
        sys.exit(too_little_memory() or f"{type(error).__name__}: {error}")
    if (cause := too_little_memory()) is not None:
        sys.exit(f"{cause} for a file, which needs {LEAST_MB}")
    files = 0
    while (request := requests.get()) is not None:
        files += 1
        try:
            wire.write_frame(outgoing, {"begun": request["id"]})
            limits = Limits(**request["limits"])
            answer, body = _answer(operations, request, limits)
            answer["id"] = request["id"]
            if (fetched := take_fetched()) != Fetched():
                answer["fetched"] = asdict(fetched)
            answer["retire"] |= files >= limits.files or resident_mb() > limits.resident_mb
            wire.write_frame(outgoing, answer, body)
            del answer, body
        except OSError as error:
            if error.errno in (errno.EPIPE, errno.ECONNRESET):
                return  # the parent is gone
            sys.stderr.write(f"the pipe to the parent failed: {error.strerror or error}\n")
            sys.exit(SYSTEM_FAULT_STATUS)


def _load() -> None:
    """Import what every file needs beforehand, so that it counts against no file's limits."""
    from genretagger.audio import ffmpeg, mel
    from genretagger.tags import registry

    del ffmpeg, mel, registry


def _answer(operations: Mapping[str, Operation], request: Json, limits: Limits) -> tuple[dict[str, Json], wire.Buffer]:
    """Handle one file and answer, whatever goes wrong short of the death of this process."""
    try:
        limit_memory(limits.memory_mb)
        limit_cpu(limits.time_s if limits.cpu_s is None else limits.cpu_s)
        result, body = operations[request["op"]](protocol.path_from_json(request["path"]), request)
        return {"result": result, "retire": False}, body
    except FileError as error:
        return {"error": protocol.error_to_json(error), "retire": False}, b""
    except MemoryError:
        cause = f"needed more than {limits.memory_mb} MB of memory"
        bomb = WorkerMemoryError(cause, hint="Raise memory_limit_mb and tag it with --force.")
        return {"error": protocol.error_to_json(bomb), "retire": True}, b""
    except Exception as error:  # noqa: BLE001 - a bug, met in a file that may be hostile: the parent reports it
        traceback.print_exc()
        bug = BugError(f"a bug: {type(error).__name__}: {str(error)[:500]}", hint="Report it.")
        return {"error": protocol.error_to_json(bug), "retire": True}, b""


def _move_pipes() -> tuple[FileIO, FileIO]:
    """Take the pipes away from the standard descriptors, which libraries write to."""
    incoming, outgoing = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    sys.stdout = sys.stderr
    return FileIO(incoming, "rb"), FileIO(outgoing, "wb")


def _listen(incoming: FileIO, requests: SimpleQueue[Json | None]) -> None:
    """Pass requests on; end this process when the parent is gone."""
    try:
        while True:
            requests.put(wire.read_frame(incoming)[0])
    except (EOFError, OSError, wire.ProtocolError):
        requests.put(None)
    time.sleep(ORPHAN_GRACE_S)
    os._exit(1)
