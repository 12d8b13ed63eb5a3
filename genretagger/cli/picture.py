"""`genretagger picture`: draws what the network gets of a track, and its genres over time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genretagger.cli import output
from genretagger.cli.drawing import Theme, draw, see_matplotlib
from genretagger.cli.options import ModelName, any_path, existing_file, quiet_settings
from genretagger.errors import ConfigError

_KINDS = (".png", ".svg")


def picture(
    file: Annotated[Path, typer.Argument(metavar="FILE", parser=existing_file, help="A music file.")],
    to: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE.png|FILE.svg",
            parser=any_path,
            help="Where to draw it; replaces what is there. [default: NAME.png in the current folder, if that is free]",
        ),
    ] = None,
    fourier: Annotated[bool, typer.Option("--fourier", help="Show the plain spectrogram, without mel bands.")] = False,
    theme: Annotated[Theme, typer.Option(help="What the picture is shown on.")] = Theme.LIGHT,
    model: ModelName = None,
) -> None:
    """Draw what the network sees of a track, and the genres that it hears over time.

    All of the track is heard. Nothing of that is stored, and the music file is not changed. Needs
    matplotlib, the extra `report`.
    """
    from genretagger.files.durable import saved
    from genretagger.pipeline import open_pipeline

    see_matplotlib()
    target = to or Path(f"{file.stem}.png")
    if target.suffix.lower() not in _KINDS:
        raise ConfigError(
            f"a picture is a {' or '.join(each[1:].upper() for each in _KINDS)} file", path=target, hint="-o track.png"
        )
    if to is None and target.exists():
        raise ConfigError("there is such a file already", path=target, hint="Name a place for the picture with -o")
    settings = quiet_settings(model=model)
    with output.Bar("tracks") as bar:
        bar.update(file.name, 0, None)
        with open_pipeline(settings, notice=bar.notice, progress=bar.update) as pipeline:
            timeline = pipeline.timeline(file, fourier=fourier)
        content = draw(timeline, file.name, kind=target.suffix.lower()[1:], theme=theme, mel=not fourier)
    with saved(target, follow=False, overwrite=to is not None) as written:
        written.write(content)
    output.say(str(target))
