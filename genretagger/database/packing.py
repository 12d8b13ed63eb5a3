"""Arrays as they are stored: packed without loss, to about a third.

The bytes of equal weight of all numbers are stored together (first the low bytes of all of them,
then the next), where zlib finds what repeats. A packed array has an odd number of bytes, and a
plain one an even number, so that what earlier versions stored is read as ever.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt

_LEVEL = 9
_MOST_BYTES = 1 << 28
"""No analysis is larger; a damaged row must not fill the memory."""


def packed(values: npt.NDArray[Any]) -> bytes:
    """Pack an array, a matrix by columns: a label's values change little from window to window."""
    import numpy as np

    plain = values.astype(values.dtype.newbyteorder("<"), copy=False)
    flat = np.ascontiguousarray(plain.T).reshape(-1)
    planes = np.ascontiguousarray(flat.view(np.uint8).reshape(-1, values.itemsize).T).tobytes()
    stored = bytes([values.itemsize]) + zlib.compress(planes, _LEVEL)
    return stored if len(stored) % 2 else stored + b"\0"


def unpacked(stored: bytes, *, shape: tuple[int, ...] | None, plain: str) -> npt.NDArray[Any] | None:
    """Give an array back.

    Args:
        stored: what `packed` gave, or the bytes of a plain array.
        shape: of the array; None for a vector of any length.
        plain: the type of a plain array, such as "<f4".

    Returns:
        The array; None if the bytes hold none, or one of another shape.
    """
    import numpy as np

    try:
        if len(stored) % 2 == 0:
            values = np.frombuffer(stored, plain)
            return values if shape is None else values.reshape(shape)
        size = stored[0]
        unpacker = zlib.decompressobj()
        planes = unpacker.decompress(stored[1:], _MOST_BYTES)
        if not unpacker.eof or len(unpacker.unused_data) > 1:
            return None
        flat = np.ascontiguousarray(np.frombuffer(planes, np.uint8).reshape(size, -1).T).reshape(-1).view(f"<f{size}")
        return flat if shape is None else np.ascontiguousarray(flat.reshape(shape[::-1]).T)
    except (ValueError, TypeError, zlib.error):
        return None
