"""The one place that translates what damaged tags cause: here, in mutagen and in the system."""

from __future__ import annotations

import contextlib
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from genretagger.errors import GenretaggerError, TagError
from genretagger.files.replace import access_errors


@contextlib.contextmanager
def tag_errors(path: Path | None = None) -> Iterator[None]:
    """Translate the errors that damaged tags cause here, in mutagen and in the operating system.

    Raises:
        TagError: the bytes make no sense.
        AccessError: the file cannot be read.
    """
    from mutagen import MutagenError

    try:
        with access_errors(path):
            yield
    except GenretaggerError as error:
        error.path = error.path or path
        raise
    except MutagenError as error:
        cause = error.__cause__ or error.__context__
        if isinstance(cause, OSError) and cause.errno is not None:
            with access_errors(path):
                raise cause from error
        raise _damaged(error, path) from error
    except (
        # mutagen raised these on broken files of its own and TagLib's test collections, or could
        # raise them
        ArithmeticError,
        AssertionError,
        AttributeError,
        EOFError,
        LookupError,
        MemoryError,
        NotImplementedError,
        RecursionError,
        TypeError,
        ValueError,
        struct.error,
        zlib.error,
    ) as error:
        raise _damaged(error, path) from error


def _damaged(error: BaseException, path: Path | None) -> TagError:
    detail = str(error) or type(error).__name__
    return TagError(f"the tags cannot be read ({detail})", path=path, hint="The file may be damaged.")
