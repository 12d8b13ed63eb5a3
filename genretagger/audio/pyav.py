"""PyAV's `open`, called in a way that every release understands.

Up to PyAV 18, tags that are not UTF-8 make `open` raise UnicodeDecodeError unless `metadata_errors`
says otherwise. PyAV 19 dropped that argument: such bytes always become surrogates. All code that
opens media files for reading, including the tests, calls `open_input`, so only this module handles
the difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import av
from av.container import InputContainer

_WITHOUT_METADATA_ERRORS = 19
"""The first major release of PyAV without the argument."""


def open_input(
    file: Any, demuxer: str | None = None, options: Mapping[str, str] | None = None, *, buffer_bytes: int = 32_768
) -> InputContainer:
    """Open a media file for reading; no bytes in a tag make this raise.

    Args:
        file: a path as text, or an object with `read`, and `seek` and `tell` if it can seek.
        demuxer: FFmpeg's name of the container; None lets FFmpeg guess.
        options: FFmpeg's options for the demuxer.
        buffer_bytes: how much is read at a time.

    Raises:
        av.error.FFmpegError: FFmpeg cannot read it.
    """
    arguments: dict[str, Any] = {"options": dict(options or {}), "buffer_size": buffer_bytes}
    if int(av.__version__.split(".")[0]) < _WITHOUT_METADATA_ERRORS:
        arguments["metadata_errors"] = "replace"
    container: InputContainer = av.open(file, "r", format=demuxer, **arguments)
    return container
