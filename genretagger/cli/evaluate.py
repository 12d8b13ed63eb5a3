"""`genretagger evaluate`: how often a model is right, on music with known genres."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from genretagger.cli import output
from genretagger.cli.known import (
    Beets,
    Gathered,
    Known,
    Labels,
    Names,
    Report,
    gathered,
    percent,
    source_of,
    tell_failures,
    two_digits,
)
from genretagger.cli.measures import tell_measures
from genretagger.cli.options import AsJson, ModelName, quiet_settings
from genretagger.text import plural, printable
from genretagger.types import Json

if TYPE_CHECKING:
    from genretagger.config import Settings
    from genretagger.model.installed import InstalledModel
    from genretagger.pipeline import Pipeline, Progress
    from genretagger.training.judge import Evaluation


def evaluate(
    paths: Known = None,
    model: ModelName = None,
    labels: Labels = None,
    beets: Beets = False,
    map_file: Names = None,
    min_score: Annotated[
        float | None,
        typer.Option(help="Least score of a genre that counts as given. [default: 0.5]"),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Another model, to show side by side."),
    ] = None,
    report: Report = None,
    as_json: AsJson = False,
) -> None:
    """Measure how often a model is right, on music with known genres. No music file is changed.

    Genres that the model cannot give are named, and left out of the figures. Genres that
    genretagger itself wrote do not count.
    """
    from genretagger.model.store import ModelStore
    from genretagger.training.labels import NameMap
    from genretagger.training.report import see_writable, write

    settings = quiet_settings(model=model, min_score=min_score)
    source, names = source_of(labels, beets, paths or ()), NameMap.load(map_file)
    if report is not None:
        see_writable(report)
    started = time.monotonic()
    other: Evaluation | None = None
    if against is not None:
        beside = settings.model_copy(update={"model": against})
        ModelStore(settings.models_dir).get(against)  # before minutes of listening
        with gathered(beside, paths or (), source, names, shown=not as_json) as (pipeline, known, tell):
            other = _judged(beside, pipeline, known, tell)
    with gathered(settings, paths or (), source, names, shown=not as_json) as (pipeline, known, tell):
        verdict = _judged(settings, pipeline, known, tell)
        installed = ModelStore(settings.models_dir).get(settings.model)
        summary = _summary(verdict, known, installed, settings.min_score, time.monotonic() - started)
        if other is not None:
            summary["against"] = {"model": against, **_figures(other)}
        notes = []
        if report is not None:
            title = f"{installed.name} on {verdict.measures.tracks:,} tracks"
            notes = write(report, title, summary, verdict.measures, ())
        if as_json:
            output.say_json(summary)
        else:
            _tell(verdict, known, installed.name, settings.min_score)
            if against is not None and other is not None:
                _tell_both((installed.name, verdict), (against, other))
            if report is not None:
                output.say(f"The report is {report / 'index.html'}.")
        for note in notes:
            output.notice(note)
    tell_failures(known.failures)


def _judged(settings: Settings, pipeline: Pipeline, known: Gathered, tell: Progress) -> Evaluation:
    """Measure the model of some settings."""
    from genretagger.model.store import ModelStore
    from genretagger.training.judge import judge

    tell("measuring", 0, None)
    card = ModelStore(settings.models_dir).get(settings.model).card
    return judge(known.lessons, pipeline.listener.genres, card, settings.aliases)


def _summary(verdict: Evaluation, known: Gathered, model: InstalledModel, least: float, seconds: float) -> Json:
    lessons = known.lessons
    return {
        "model": model.name,
        "sha256": model.sha256,
        "labels": known.source.name,
        "min_score": least,
        **_figures(verdict),
        "left_out": {
            "written_by_genretagger": lessons.own,
            "without_genre": lessons.unlabelled,
            "failed": len(known.failures),
        },
        "seconds": round(seconds, 3),
    }


def _figures(verdict: Evaluation) -> dict[str, Json]:
    return {
        **verdict.measures.to_json(),
        "deaf_to": dict(verdict.deaf_to),
        "deaf_tracks": verdict.deaf_tracks,
        "deaf_given": verdict.deaf_given,
        "learned_from": verdict.learned_from,
        "learned_artists": verdict.learned_artists,
    }


def _tell_both(*models: tuple[str, Evaluation]) -> None:
    """Print the measures of two models side by side, for people."""
    measures = [verdict.measures for _, verdict in models]
    f1 = [{each.genre: each.f1 for each in one.genres if each.tracks or each.chosen} for one in measures]
    rows: list[tuple[str, ...]] = [
        ("tracks", *(f"{one.tracks:,}" for one in measures)),
        ("best guess right", *(percent(one.top1) for one in measures)),
        ("get a genre", *(percent(one.coverage) for one in measures)),
        ("of those right", *(percent(one.right) for one in measures)),
        ("F1, macro", *(two_digits(one.macro[2]) for one in measures)),
        ("calibration error", *(f"{one.calibration_error:.3f}" for one in measures)),
        *((f"F1 of {genre}", *(two_digits(one.get(genre)) for one in f1)) for genre in sorted({*f1[0], *f1[1]})),
    ]
    output.say()
    output.table(("", *(name for name, _ in models)), rows)
    for name, verdict in models:
        if verdict.deaf_to:
            output.say(f"{printable(name)} does not know: {', '.join(map(printable, verdict.deaf_to))}")


def _tell(verdict: Evaluation, known: Gathered, name: str, least: float) -> None:
    """Print the measures, for people."""
    measures = verdict.measures
    output.say(f"{name} on {plural(measures.tracks, 'track')} with a known genre (from {known.source.name}):")
    output.say()
    tell_measures(measures)
    output.say()
    output.say("least score   tracks with a genre   of those right")
    for step in measures.sweep[1::2]:
        mark = "  *" if abs(step.threshold - least) < 0.001 else ""
        output.say(f"{step.threshold:<12.2f}  {percent(step.coverage):<20}  {percent(step.right)}{mark}")
    confused = Counter(
        {
            (each.genre, measures.genres[column].genre): count
            for row, each in enumerate(measures.genres)
            for column, count in enumerate(measures.confusion[row][:-1])
            if column != row and count
        }
    ).most_common(8)
    if confused:
        output.say()
        output.say(
            "Taken for another: " + ", ".join(f"{printable(a)} for {printable(b)} ({n})" for (a, b), n in confused)
        )
    if verdict.deaf_to:
        names = ", ".join(f"{printable(genre)} ({count})" for genre, count in verdict.deaf_to.items())
        output.say(f"Left out, since this model cannot give them: {names}")
        if verdict.deaf_tracks:
            others = plural(verdict.deaf_tracks, "track")
            output.say(f"Of {others} with no other genre, {verdict.deaf_given:,} get a wrong one.")
    if known.lessons.own:
        own = plural(known.lessons.own, "track")
        output.say(f"Left out, since genretagger itself wrote the genre: {own}")
    if verdict.learned_from or verdict.learned_artists:
        output.say(
            f"Note: the model learned from {verdict.learned_from:,} of these tracks, and from artists or albums of "
            f"{verdict.learned_artists:,} of them, so the figures are too good."
        )
