"""What `train` learned, for people and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genretagger.cli import output
from genretagger.cli.known import Gathered
from genretagger.cli.measures import tell_measures
from genretagger.errors import ModelError
from genretagger.text import plural, printable
from genretagger.types import Json

if TYPE_CHECKING:
    from genretagger.model.card import Card
    from genretagger.model.installed import InstalledModel
    from genretagger.training.result import TrainingResult
    from genretagger.vocabulary.part import LearnedPart

_SUSPECTS_SHOWN = 20


def learned_part(card: Card) -> LearnedPart | None:
    """What training wrote into a card; None if that is nothing, or damaged."""
    try:
        return None if card.part is None else card.part.learned
    except ModelError:
        return None


def summary(lesson: TrainingResult, known: Gathered, installed: InstalledModel, seconds: float) -> Json:
    """What was learned, as one JSON object."""
    from genretagger.training.measures import digits

    lessons, part = known.lessons, installed.card.part
    return {
        "model": installed.name,
        "sha256": installed.sha256,
        "folder": str(installed.folder),
        "listens_with": "" if part is None or part.learned is None else part.learned.backbone.name,
        "labels": known.source.name,
        "tracks": sum(1 for each in lessons.examples if set(each.genres) & set(lesson.genres)),
        "groups": lesson.groups,
        "genres": dict(lesson.genres),
        "dropped": dict(lesson.dropped),
        "unmeasured": list(lesson.unmeasured),
        "left_out": {
            "written_by_genretagger": lessons.own,
            "without_genre": lessons.unlabelled,
            "nothing_to_hear": lessons.unheard,
            "failed": len(known.failures),
        },
        "held_out": None if lesson.measures is None else lesson.measures.to_json(),
        "mislabelled": [
            {
                "path": str(each.example.path),
                "genres": list(each.example.genres),
                "score": round(each.own, 4),
                "sounds_like": each.other,
                "sounds_like_score": round(each.score, 4),
            }
            for each in lesson.suspects
        ],
        "changes": [
            {"genre": each.genre, "tracks": each.tracks, "f1_before": digits(each.before), "f1": digits(each.after)}
            for each in lesson.changes
        ],
        "warnings": [printable(text) for text in lesson.warnings],
        "seconds": round(seconds, 3),
    }


def tell_result(lesson: TrainingResult, known: Gathered, name: str, seconds: float, *, compare: bool) -> None:
    """Print what was learned, for people."""
    lessons = known.lessons
    tracks = sum(1 for each in lessons.examples if set(each.genres) & set(lesson.genres))
    output.say(
        f"Learned {plural(len(lesson.genres), 'genre')} from {plural(tracks, 'track')} in {seconds:.1f} s. "
        f"Tracks that share an artist or an album are one group: {plural(lesson.groups, 'group')}."
    )
    if lesson.dropped:
        rare = ", ".join(f"{genre} ({count})" for genre, count in lesson.dropped.items())
        output.say(f"Left out, too rare, or on every track: {printable(rare)}")
    if lessons.own:
        output.say(f"Not learned from: {plural(lessons.own, 'track')} with a genre that genretagger wrote itself")
    for text in lesson.warnings:
        output.say(f"Note: {printable(text)}")
    if lesson.measures is not None:
        output.say()
        subject = "of artists and albums " if lesson.groups > 1 else ""
        output.say(f"On tracks {subject}that were held out:")
        output.say()
        tell_measures(lesson.measures)
    if compare:
        _tell_changes(lesson)
    if lesson.suspects:
        output.say()
        output.say(f"{plural(len(lesson.suspects), 'track')} may be mislabelled:")
        for each in lesson.suspects[:_SUSPECTS_SHOWN]:
            own = ", ".join(each.example.genres)
            said = f"{printable(own)} {each.own:.2f}, sounds like {printable(each.other)} {each.score:.2f}"
            output.say(f"  {said}: {printable(each.example.path)}")
        if len(lesson.suspects) > _SUSPECTS_SHOWN:
            output.say(f"  and {len(lesson.suspects) - _SUSPECTS_SHOWN} more: --json or --report lists them")
    output.say()
    output.say(f"Installed as {name}. `genretagger models use {name}` makes it the default.")


def _tell_changes(lesson: TrainingResult) -> None:
    """Say what became better or worse, to people."""
    output.say()
    compared = [each for each in lesson.changes if each.before is not None and each.after is not None]
    if not compared:
        output.say("Nothing to compare with: no held-out track is known from before.")
        return
    output.say("F1 on the same held-out tracks, before and now, by the genres as they are known now:")
    for each in compared:
        before, after = each.before or 0.0, each.after or 0.0
        word = "as before" if abs(after - before) < 0.005 else "better" if after > before else "worse"
        output.say(f"  {printable(each.genre):<24} {before:.2f} → {after:.2f}  {word}  ({each.tracks} tracks)")
