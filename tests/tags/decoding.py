"""A process that decodes files: it gets the length in 8 bytes and a file, and answers a line.

python decoding.py < files
"""

from __future__ import annotations

import hashlib
import io
import sys
from pathlib import Path

import av

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from audio_factory import decode


def digest(data: bytes) -> str:
    """The samples that FFmpeg decodes from a file."""
    try:
        return hashlib.blake2b(decode(io.BytesIO(data)), digest_size=16).hexdigest()
    except (av.error.FFmpegError, ValueError, IndexError) as error:
        return type(error).__name__


if __name__ == "__main__":
    while head := sys.stdin.buffer.read(8):
        sys.stdout.write(digest(sys.stdin.buffer.read(int.from_bytes(head, "big"))) + "\n")
        sys.stdout.flush()
