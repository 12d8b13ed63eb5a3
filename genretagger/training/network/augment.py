"""Changes windows without changing the genre: the network learns the genre, not the recording.

All of it happens to the power of the bands, before the logarithm is taken again:

- *gain*: a quiet master and a loud one are the same music;
- *mixup*: two windows are added, and so are their genres: sounds add up, and so may what is said of
  them;
- *band limits*: the highest bands are cut off as by a low bit rate, and the lowest as by a small
  speaker. Otherwise the network would learn that everything from one shop, and so perhaps
  everything of one genre, ends at 5 kHz;
- *masks*: some frames and some bands are silenced (SpecAugment), so that no single note or band
  decides.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from genretagger.audio.mel import FrontEnd

_GAIN_DB = 6.0
_MIXED, _MIX_SHAPE = 0.5, 0.4
_TOP_CUT, _TOP_LEAST = 0.3, 0.6
_LOW_CUT, _LOW_MOST = 0.15, 0.06
_MASKS = 2
_FRAMES, _BANDS = 0.12, 0.1
"""The largest share of the frames, and of the bands, that a mask silences."""


def augmented(
    windows: torch.Tensor, truth: torch.Tensor, dice: np.random.Generator, front_end: FrontEnd
) -> tuple[torch.Tensor, torch.Tensor]:
    """Change a batch.

    Args:
        windows: (n, frames, bands) float32, as the front end gives them.
        truth: (n, genres) float32.
        dice: decides everything.
        front_end: how the bands were compressed.

    Returns:
        Windows and truth of the same shapes; after mixup, truth is between 0 and 1.
    """
    count, frames, bands = windows.shape
    base = 10.0 if front_end.decimal else math.e
    grown = torch.pow(base, windows * front_end.spread + front_end.mean)
    power = ((grown - front_end.shift) / front_end.factor).clamp_(min=0)

    def on_device(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(values.astype("float32")).to(windows.device)

    gain_db = dice.uniform(-_GAIN_DB, _GAIN_DB, count)
    power = power * on_device(10 ** (gain_db * front_end.power / 20))[:, None, None]
    share = dice.beta(_MIX_SHAPE, _MIX_SHAPE, count)
    share = on_device(1 - (dice.random(count) < _MIXED) * (1 - share))
    partner = torch.from_numpy(dice.permutation(count)).to(windows.device)
    power = share[:, None, None] * power + (1 - share[:, None, None]) * power[partner]
    truth = share[:, None] * truth + (1 - share[:, None]) * truth[partner]
    band, frame = torch.arange(bands, device=windows.device), torch.arange(frames, device=windows.device)
    top = 1 - (dice.random(count) < _TOP_CUT) * dice.uniform(0, 1 - _TOP_LEAST, count)
    low = (dice.random(count) < _LOW_CUT) * dice.uniform(0, _LOW_MOST, count)
    heard = (band >= on_device(low * bands)[:, None]) & (band < on_device(top * bands)[:, None])
    lasts = torch.ones((count, frames), dtype=torch.bool, device=windows.device)
    for _ in range(_MASKS):
        heard &= ~_stretch(band, on_device(dice.random((2, count))), _BANDS)
        lasts &= ~_stretch(frame, on_device(dice.random((2, count))), _FRAMES)
    power = power * (heard[:, None, :] & lasts[:, :, None])
    logarithm = torch.log(front_end.factor * power + front_end.shift) / math.log(base)
    return (logarithm - front_end.mean) / front_end.spread, truth


def _stretch(place: torch.Tensor, drawn: torch.Tensor, most: float) -> torch.Tensor:
    """A random stretch of places for each window, (n, places) bool."""
    width = drawn[0] * most * len(place)
    start = drawn[1] * (len(place) - width)
    return (place >= start[:, None]) & (place < (start + width)[:, None])
