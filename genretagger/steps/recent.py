"""A cache of the newest analyses, so that deciding on an album need not read them again."""

from __future__ import annotations

from collections import OrderedDict

from genretagger.database.values import StoredAnalysis

_Key = tuple[str, str, str]


class Recent:
    """The newest analyses, up to a number of bytes.

    Args:
        most_bytes: of activations; beyond that the oldest analyses are dropped.
    """

    def __init__(self, most_bytes: int = 4_000_000) -> None:
        self._most = most_bytes
        self._held = 0
        self._analyses: OrderedDict[_Key, StoredAnalysis] = OrderedDict()

    def get(self, key: _Key) -> StoredAnalysis | None:
        """The analysis that was kept by this key; None if it was forgotten."""
        return self._analyses.get(key)

    def keep(self, key: _Key, analysis: StoredAnalysis) -> None:
        """Keep an analysis, in place of an earlier one with this key."""
        self.forget(key)
        self._analyses[key] = analysis
        self._held += _size_bytes(analysis)
        while self._held > self._most:
            _, oldest = self._analyses.popitem(last=False)
            self._held -= _size_bytes(oldest)

    def forget(self, key: _Key) -> None:
        """Forget an analysis that is about to be replaced."""
        old = self._analyses.pop(key, None)
        if old is not None:
            self._held -= _size_bytes(old)


def _size_bytes(analysis: StoredAnalysis) -> int:
    heard = analysis.activations
    return 1000 if heard is None else 1000 + heard.values.nbytes + heard.embedding.nbytes
