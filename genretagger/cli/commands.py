"""Groups of commands with full sentences as help; their modules load when they are needed."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

_LONGEST = 400
"""The most characters of a command's first sentence in the help, which wraps it."""


class Commands(TyperGroup):
    """A group of commands. Typer would cut their descriptions off with an ellipsis."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands."""
        commands = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        rows = [(name, each.get_short_help_str(_LONGEST)) for name, each in commands if each and not each.hidden]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


class LoadedWhenNeeded(TyperGroup):
    """A group of commands, each imported on first use: to import all takes a tenth of a second.

    A command is a function, or a group, that has the name of its module in `genretagger.cli`. A
    subclass gives the first sentence of each one's help, in the order of the help; for a group it
    is all of the help.
    """

    summaries: Mapping[str, str]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands: Any = dict.fromkeys(self.summaries)

    def get_command(self, ctx: Any, name: str) -> Any:
        """Import a command; None if there is none of this name."""
        del ctx
        if name in self.commands and self.commands[name] is None:
            self.commands[name] = _loaded(name, self.summaries[name])
        return self.commands.get(name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(self.summaries.items()))


def _loaded(name: str, summary: str) -> Any:
    found = getattr(import_module(f"genretagger.cli.{name}"), name)
    around = typer.Typer(add_completion=False, rich_markup_mode=None)
    around.callback()(lambda: None)  # makes it a group, however few commands it has
    if isinstance(found, typer.Typer):
        around.add_typer(found, name=name, help=summary)
    else:
        around.command(name)(found)
    group: Any = typer.main.get_command(around)
    return group.commands[name]
