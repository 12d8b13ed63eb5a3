"""`genretagger train`: learn the owner's genres from tracks that have some."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genretagger.cli import output
from genretagger.cli.backbone import (
    backbone_of,
    card_if_any,
    card_of,
    learned,
    music_places,
    see_may_be_called,
    successor,
)
from genretagger.cli.interrupt import interruptible
from genretagger.cli.known import Beets, Known, Labels, Names, Report, gathered, source_of, tell_failures
from genretagger.cli.network import NetworkWish, tell_verdict, train_network, verdict_json
from genretagger.cli.options import AsJson, quiet_settings
from genretagger.cli.trained import summary, tell_result
from genretagger.errors import ConfigError, FileError
from genretagger.text import plural
from genretagger.training.network.way import Way
from genretagger.types import Json

if TYPE_CHECKING:
    from genretagger.config import Settings
    from genretagger.model.card import Card
    from genretagger.pipeline import Pipeline, Progress
    from genretagger.training.course import Course
    from genretagger.training.favour import Verdict
    from genretagger.training.result import TrainingResult

_LEAST = 5
_NAME = "mine"
_MANY = 300
"""With so many tracks, it is said that a network may be better."""


def train(
    paths: Known = None,
    name: Annotated[str | None, typer.Option(help="What to call the model. [default: mine]")] = None,
    update: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Learn this model again, and say what became better or worse."),
    ] = None,
    labels: Labels = None,
    beets: Beets = False,
    map_file: Names = None,
    min_tracks: Annotated[
        int | None,
        typer.Option(min=2, help="Tracks that a genre needs; rarer ones are left out. [default: 5]"),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", help="The model that listens. [default: the one in use]"),
    ] = None,
    network: Annotated[
        bool, typer.Option("--network", help="Train a convolutional network on spectrograms; needs PyTorch.")
    ] = False,
    begin_with: Annotated[
        Way | None,
        typer.Option(
            "--from",
            help="What the network begins with: nothing, or the first ear of the default model. [default: musicnn]",
        ),
    ] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Learn in all ways from the same tracks, and keep the best one.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the training of a network that was cut off.")
    ] = False,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, max=1000, help="The most epochs of a network. [default: 15 from musicnn, 30 from scratch]"),
    ] = None,
    cache_mb: Annotated[
        int, typer.Option("--cache-mb", min=1, help="The most megabytes that decoded windows may take on the disk.")
    ] = 4096,
    report: Report = None,
    as_json: AsJson = False,
    lines: Annotated[
        bool, typer.Option("--progress", hidden=True, help="Progress as JSON lines on standard error.")
    ] = False,
) -> None:
    """Learn your own genres from tracks that have some, and measure the result.

    What genretagger itself wrote is never learned from, unless you changed it since. No music file
    is changed. What was heard before is not listened to again. The result is a model: `genretagger
    models use mine` makes it the default.
    """
    from genretagger.model.store import ModelStore
    from genretagger.training.head import import_ahead
    from genretagger.training.labels import NameMap
    from genretagger.training.report import see_writable, write

    settings = quiet_settings(model=model)
    network = network or compare or begin_with is not None or resume
    store = ModelStore(settings.models_dir)
    before: Card | None = None
    listens = settings.model
    if update is not None:
        if name not in (None, update):
            raise ConfigError(
                f"--update learns {update!r} again, so it cannot be called {name!r}", hint="Leave out one of the two"
            )
        before, name = card_of(store, update), update
        earlier, origin = learned(update, before)
        listens = successor(earlier.backbone.name)
        if labels is None and not beets:
            labels, beets = origin.labels, origin.beets
        paths = paths or music_places(origin)
        map_file = map_file or (Path(origin.map) if origin.map else None)
        min_tracks = min_tracks or origin.min_tracks
        if earlier.network is not None:
            network, begin_with = True, begin_with or Way(earlier.network.way)
            epochs = epochs or origin.epochs
    if network:
        from genretagger.training.network.need import see_torch

        see_torch()
    name = name or _NAME
    source, names = source_of(labels, beets, paths or ()), NameMap.load(map_file)
    backbone = backbone_of(store, model or listens, name)
    see_may_be_called(store, name, backbone)
    if update is not None and backbone != earlier.backbone.name:
        output.notice(
            f"{name} listened with {earlier.backbone.name}, and now learns to listen with {backbone}: "
            "its tracks are heard again unless they were heard with that"
        )
    if report is not None:
        see_writable(report)
    ready = import_ahead()
    wish = NetworkWish(begin_with or Way.MUSICNN, resume, epochs, cache_mb)
    listening = settings.model_copy(update={"model": backbone})
    hearing = gathered(listening, paths or (), source, names, shown=not as_json, lines=lines)
    with hearing as (pipeline, known, tell):
        from genretagger.training.course import Course
        from genretagger.training.measures import ChoiceRules
        from genretagger.training.memory import as_before

        ready.join()
        started = time.monotonic()
        least = min_tracks or _LEAST
        asked: dict[str, Json] = {
            "source": source.name,
            "labels": str(Path(labels).absolute()) if labels and Path(labels).is_file() else labels,
            "beets": beets,
            "paths": sorted(str(path.absolute()) for path in paths or ()),
            "map": str(map_file.absolute()) if map_file else None,
            "min_tracks": least,
        }
        rules = ChoiceRules(settings.min_score, settings.share_of_top, settings.max_genres)
        course = Course.of(known.lessons, store.get(backbone), least=least, rules=rules, before=before)
        ways = list(Way) if compare else [begin_with or Way.MUSICNN] if network else []
        taught = _learned_ways(pipeline, course, ways, wish, settings, name, asked, tell, both=compare or not ways)
        lesson = taught.results[taught.chosen]
        installed = store.put(name, lesson.onnx, as_before(lesson.card, card_if_any(store, name)))
        seconds = time.monotonic() - started
        notes = []
        answer = {**summary(lesson, known, installed, seconds), "way": taught.chosen}
        if taught.verdict is not None:
            answer["compared"] = verdict_json(taught.verdict)
        if report is not None:
            title = f"{name}: learned from {len(known.lessons.examples):,} tracks"
            notes = write(report, title, answer, lesson.measures, lesson.suspects)
        if as_json:
            output.say_json(answer)
        else:
            tell_result(lesson, known, name, seconds, compare=update is not None)
            if taught.verdict is not None:
                tell_verdict(taught.verdict)
            elif not ways and len(course.examples) >= _MANY:
                output.say(
                    f"A network may suit {plural(len(course.examples), 'track')} better: "
                    "`genretagger train --network --compare` measures all ways on the same tracks."
                )
            if report is not None:
                output.say(f"The report is {report / 'index.html'}.")
        for note in notes:
            output.notice(note)
    tell_failures((*known.failures, *taught.failures))


@dataclass(frozen=True, slots=True)
class _LearnedWays:
    """What was learned in one way, or in several.

    Attributes:
        results: by way.
        chosen: the way that is installed.
        verdict: which way the figures favour; None if there was only one.
        failures: files that could not be decoded for a network.
    """

    results: dict[str, TrainingResult]
    chosen: str
    verdict: Verdict | None
    failures: tuple[FileError, ...]


def _learned_ways(
    pipeline: Pipeline,
    course: Course,
    ways: list[Way],
    wish: NetworkWish,
    settings: Settings,
    name: str,
    origin: dict[str, Json],
    tell: Progress,
    *,
    both: bool,
) -> _LearnedWays:
    """Learn in some ways.

    Args:
        ways: networks; none for the regression alone.
        both: whether there is a regression as well.

    Raises:
        typer.Exit: interrupted before anything was learned.
    """
    from genretagger.training import learn as school
    from genretagger.training.favour import REGRESSION, verdict

    results: dict[str, TrainingResult] = {}
    seconds: dict[str, float] = {}
    failures: tuple[FileError, ...] = ()
    if both:
        began = time.monotonic()
        results[REGRESSION] = school.taught(
            course, name=name, origin=origin, progress=lambda done, total: tell("learning", done, total)
        )
        seconds[REGRESSION] = time.monotonic() - began
    with interruptible() as stop:
        for way in ways:
            from genretagger.training.network.learn import NothingLearnedError

            began = time.monotonic()
            try:
                results[way], failed = train_network(
                    pipeline, course, replace(wish, way=way), settings=settings, name=name, origin=origin, stop=stop,
                    tell=tell, keep=way != ways[-1],
                )  # fmt: skip
            except NothingLearnedError:
                break
            seconds[way] = time.monotonic() - began
            failures = failures or failed
            if stop.done():
                break
    if not results:
        output.notice("interrupted before anything was learned; --resume goes on from there")
        raise typer.Exit(130)
    favoured = verdict(results, seconds) if both and ways else None
    return _LearnedWays(results, favoured.favoured if favoured else next(iter(results)), favoured, failures)
