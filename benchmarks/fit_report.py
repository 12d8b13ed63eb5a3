"""What `benchmarks.fit` prints: how right the default model is on recordings outside the fit."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from benchmarks.fitting import Bench
from benchmarks.held_out import HeldOut, by_genre
from benchmarks.judging import FEWEST, NO_TRUTH, calibration_of, curve, sharpened, written
from benchmarks.labelled import Array, Flags
from genretagger.config import Settings
from genretagger.vocabulary.fitted import Fitted

TEN = ("Blues", "Classical", "Country", "Disco", "Hip-Hop", "Jazz", "Metal", "Pop", "Reggae", "Rock")
LIMITS = (0.3, 0.4, 0.45, 0.5, 0.55, 0.6, 0.7, 0.8)
NEVER_TAUGHT = (*TEN, "House", "Techno", "Trance", "Drum and Bass", "Hardcore", "Ambient", "Soul")


def report(bench: Bench, fitted: Fitted, group: HeldOut, source: HeldOut) -> None:
    """Print everything."""
    limit = Settings.model_fields["min_score"].default
    print(f"sharpness {fitted.sharpness}; limit (min_score) {limit}")
    for name, held in (("groups", group), ("whole sources", source)):
        scores = held.music[:, None] * sharpened(bench, held.posterior, fitted.sharpness)
        print(f"\n== Left out: {name}")
        _music(bench, held, scores, limit)
        _genres(bench, held.rows, scores, limit)
    held = by_genre(bench, NEVER_TAUGHT)
    scores = held.music[:, None] * sharpened(bench, held.posterior, fitted.sharpness)
    print("\n== Left out of the head: one genre after the other, so that the labels alone speak for it")
    _genres(bench, held.rows, scores, limit)


def _music(bench: Bench, held: HeldOut, scores: Array, limit: float) -> None:
    data = bench.data
    for source in sorted(set(data.source[held.rows])):
        for music in (True, False):
            rows = held.rows & (data.source == source) & (data.is_music == music)
            if rows.any():
                heard = held.music[rows] >= 0.5
                given = sum(bool(name) for name in written(bench, scores, rows, limit).values())
                wrong = int((heard != music).sum())
                print(
                    f"  {source:16} {'music' if music else 'other':6} {rows.sum():4}  heard as "
                    f"{'other' if music else 'music'}: {wrong:2} ({wrong / rows.sum():.1%})  given a genre: {given}"
                )


def _genres(bench: Bench, rows: Flags, scores: Array, limit: float) -> None:
    data = bench.data
    judged = rows & data.is_music & (data.genre != NO_TRUTH)
    for source in sorted(set(data.source[judged])):
        own = judged & (data.source == source)
        print(f"  {source}: {own.sum()} recordings, {_top(bench, scores, own)}")
        if source == "gtzan":
            columns = [bench.hearing.genres.index(name) for name in TEN]
            best = np.array(TEN)[scores[own][:, columns].argmax(axis=1)]
            right = best == data.genre[own]
            print(f"    ten-way {right.mean():.3f}: {_shares(data.genre[own], right)}")
        for each in LIMITS:
            first = written(bench, scores, own, each)
            print(f"    limit {each:.2f}: {curve(data.truth, first)}{'   <-' if each == limit else ''}")
    first = written(bench, scores, judged, limit)
    print("  by genre: recordings, coverage, precision; what is written instead")
    for name in sorted(set(data.genre[judged])):
        own_rows = [row for row in first if data.genre[row] == name]
        if len(own_rows) >= FEWEST:
            wrong = [first[row] for row in own_rows if first[row] and first[row] not in data.truth[row]]
            common = sorted(set(wrong), key=lambda each: (-wrong.count(each), each))[:3]
            print(
                f"    {name:14} {len(own_rows):4}  {curve(data.truth, {row: first[row] for row in own_rows})}"
                f"  {', '.join(f'{each} {wrong.count(each)}' for each in common)}"
            )
    _calibration(bench, scores, judged)


def _top(bench: Bench, scores: Array, rows: Flags) -> str:
    """Right among the first one and three, whatever its score."""
    order = np.argsort(-scores, axis=1, kind="stable")
    names = bench.hearing.genres
    found = {1: 0, 3: 0}
    for row in np.flatnonzero(rows):
        ranked = [names[number] for number in order[row]][: max(found)]
        for most in found:
            found[most] += bool(set(ranked[:most]) & bench.data.truth[row])
    return f"right genre (or its parent) first {found[1] / rows.sum():.2f}, among three {found[3] / rows.sum():.2f}"


def _shares(names: Iterable[str], right: Flags) -> str:
    of = np.array(list(names))
    return ", ".join(f"{name} {right[of == name].mean():.2f}" for name in sorted(set(of)))


def _calibration(bench: Bench, scores: Array, rows: Flags) -> None:
    """Print the scores of what is written at a low limit beside how often it is right."""
    bins, error = calibration_of(bench, scores, rows)
    parts = ", ".join(f"{each.said:.2f}→{each.right:.2f} ({each.count})" for each in bins)
    print(f"  score → share that is right (recordings): {parts}\n  calibration error {error:.3f}")
