"""What the default model itself thinks of a genre that the owner calls by the same name.

A few tracks teach a genre only roughly, and the default model knows many genres from elsewhere: its
labels speak for Reggae, whoever tagged the tracks. So the evidence of its labels (step 2 of
`two_ears`, without the prior; 0 if a genre is heard as much as in music at large) is added to the
log-odds that were learned, times a weight.

The weight is learned as well, on tracks that were held out, and is the same for all genres. So an
owner who means something else by these names gets a weight near 0. The more tracks a genre has, the
less the opinion adds, and the smaller the weight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from genretagger.types import DoubleArray, FloatArray
from genretagger.vocabulary.calibration import Calibration
from genretagger.vocabulary.names import vocabulary
from genretagger.vocabulary.two_ears import TwoEars


def known_by_name(genres: Sequence[str], backbone: TwoEars | Calibration) -> dict[str, str]:
    """Find the genres of which the backbone has an opinion.

    Args:
        genres: as their owner calls them.
        backbone: what scores the backbone's output.

    Returns:
        The owner's name of each, and the backbone's name. Empty if it is not the default model.
    """
    if not isinstance(backbone, TwoEars):
        return {}
    names = {genre: vocabulary().canonical(genre) for genre in genres}
    return {genre: name for genre, name in names.items() if name is not None and name in backbone.genres}


def opinion(
    genres: Sequence[str], known: Mapping[str, str], backbone: TwoEars | Calibration, activations: FloatArray
) -> DoubleArray:
    """What the backbone thinks of a track.

    Args:
        genres: as their owner calls them.
        known: from `known_by_name`.
        backbone: what scores the backbone's output.
        activations: (labels,) float32, mean over the windows, of the backbone's labels.

    Returns:
        (genres,) natural logs; 0 for a genre that the backbone does not know.
    """
    if not known or not isinstance(backbone, TwoEars):
        return np.zeros(len(genres))
    evidence = dict(zip(backbone.genres, backbone.evidence(activations), strict=True))
    return np.array([evidence.get(known.get(genre, ""), 0.0) for genre in genres])
