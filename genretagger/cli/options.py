"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

Paths: TypeAlias = Annotated[
    list[Path], typer.Argument(metavar="PATH...", exists=True, readable=False, help="Music files, or folders to walk.")
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="One JSON object a line on standard output.")]
ModelName: TypeAlias = Annotated[
    str | None, typer.Option("--model", help="Name of the model to listen with.", show_default=False)
]
