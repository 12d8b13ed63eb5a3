"""Samples to log-mel frames, as each family of models was trained.

A front end is data: a new model family is a new entry of `FRONT_ENDS` under the name that its card
gives in `inference.algorithm`. `audio.mel` computes the frames.

Listening needs numpy and nothing more. The filter bank and the window are librosa's; they are
computed once for each model and kept with it (`model.filter_bank`), because librosa takes seconds
to import and wants a writable cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from genretagger.audio.mel import FrontEnd
from genretagger.errors import ModelError
from genretagger.model.card import Card

_MAEST_MEAN, _MAEST_SPREAD = 2.06755686098554, 1.268292820667291  # of the frames that MAEST was trained on


FRONT_ENDS: Mapping[str, FrontEnd] = {
    front_end.name: front_end
    for front_end in (
        # The original's frames, measured: periodic Hann agrees to 5e-7, symmetric Hann (as Essentia
        # takes) only to 0.1.
        FrontEnd("musicnn", 16_000, 512, 512, 256, 96, 0.0, 8_000.0, window_frames=187),
        # Essentia's, each measured against its own output: musicnn's and its like to 4e-5, VGGish
        # to 1e-4.
        FrontEnd(
            "TensorflowPredictMusiCNN", 16_000, 512, 512, 256, 96, 0.0, 8_000.0,
            window_frames=187, symmetric=True,
        ),
        FrontEnd(
            "TensorflowPredictEffnetDiscogs", 16_000, 512, 512, 256, 96, 0.0, 8_000.0,
            window_frames=128, symmetric=True,
        ),
        FrontEnd(
            "TensorflowPredictMAEST", 16_000, 512, 512, 256, 96, 0.0, 8_000.0,
            window_frames=1876, variants=(626, 316), symmetric=True,
            mean=_MAEST_MEAN, spread=2 * _MAEST_SPREAD,
        ),
        FrontEnd(
            "TensorflowPredictVGGish", 16_000, 512, 400, 160, 64, 125.0, 7_500.0,
            window_frames=96, symmetric=True, htk=True, straight_in_mels=True, slaney_norm=False,
            power=1.0, factor=1.0, shift=0.01, decimal=False,
        ),
        # One window of musicnn holds three patches. Frames are centred here as well; that moves
        # them by 16 ms.
        FrontEnd(
            "YAMNet", 16_000, 512, 400, 160, 64, 125.0, 7_500.0,
            window_frames=96, htk=True, slaney_norm=False,
            power=1.0, factor=1.0, shift=0.001, decimal=False, patches=3,
        ),
    )
}  # fmt: skip
"""By the card's `inference.algorithm`."""


def front_end(algorithm: str, window: tuple[int | None, ...] = ()) -> FrontEnd:
    """Find the front end that a card names.

    Args:
        algorithm: the card's `inference.algorithm`.
        window: the shape of the model's input, which ends with frames and bands; None if it does
            not say.

    Raises:
        ModelError: there is none of that name, or none that gives windows of this shape.
    """
    found = FRONT_ENDS.get(algorithm)
    if found is None:
        raise ModelError(
            f"The model needs the front end {algorithm!r}, which genretagger does not have",
            hint=f"Models with these can be used: {', '.join(sorted(FRONT_ENDS))}.",
        )
    frames, mels = window[-2:] if len(window) >= 2 else (None, None)
    if found.patches > 1 and len(window) >= 3 and window[-3] not in (None, found.patches):
        raise ModelError(
            f"The model takes windows of {window[-3]} patches, and its front end {algorithm} gives {found.patches}",
            hint="Look at `schema.inputs` of its card.",
        )
    lengths = " or ".join(str(length) for length in sorted({found.window_frames, *found.variants}))
    if frames is not None and frames in found.variants:
        found = replace(found, window_frames=frames)
    if frames not in (None, found.window_frames) or mels not in (None, found.mels):
        raise ModelError(
            f"The model takes windows of {frames} by {mels}, and its front end {algorithm} gives {lengths} frames "
            f"of {found.mels} bands",
            hint="Look at `schema.inputs` and `inference.algorithm` of its card.",
        )
    return found


def front_ends(card: Card) -> tuple[FrontEnd, ...]:
    """The front end of each input of a model.

    Raises:
        ModelError: there is none for one of them, or they do not hear the same stretch of sound.
    """
    found = tuple(front_end(algorithm, shape) for algorithm, shape in card.ears)
    main = found[0]
    for each in found[1:]:
        fits = each.margin_samples <= main.margin_samples
        ends = each.window_samples - each.margin_samples <= main.window_samples - main.margin_samples
        if each.rate_hz != main.rate_hz or not fits or not ends:
            raise ModelError(
                f"The front end {each.name} hears more than a window of {main.name}, or at another rate",
                hint="The first input of a model hears the longest stretch; look at `schema.inputs` of its card.",
            )
    return found
