"""Groups of commands with full sentences as help; their modules load when they are needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

_LONGEST = 400
"""Letters of a command's first sentence; the help wraps it."""


class Commands(TyperGroup):
    """A group of commands. Typer would cut their descriptions off with an ellipsis."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands."""
        commands = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        rows = [(name, each.get_short_help_str(_LONGEST)) for name, each in commands if each and not each.hidden]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


@dataclass(frozen=True, slots=True)
class CommandPlace:
    """Where a command is defined.

    Attributes:
        summary: the first sentence of its help.
        module: its module in `genretagger.cli`.
        name: of its function, or of its group, in the module.
    """

    summary: str
    module: str
    name: str


class Loaded(MutableMapping[str, Any]):
    """Commands by name, each imported on first use: to import all takes a tenth of a second.

    Args:
        places: where they are, in the order of the help.
    """

    def __init__(self, places: Mapping[str, CommandPlace]) -> None:
        self._places = places
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            place = self._places[name]
            found = getattr(import_module(f"genretagger.cli.{place.module}"), place.name)
            around = typer.Typer(add_completion=False, rich_markup_mode=None)
            around.callback()(_nothing)  # makes it a group, however few commands it has
            if isinstance(found, typer.Typer):
                around.add_typer(found, name=name)
            else:
                around.command(name)(found)
            group: Any = typer.main.get_command(around)
            self._made[name] = group.commands[name]
        return self._made[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        del self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self._places, **self._made})

    def __len__(self) -> int:
        return len({**self._places, **self._made})


class LoadedWhenNeeded(Commands):
    """A group of commands; each module is imported when it is needed.

    A subclass names them.
    """

    places: Mapping[str, CommandPlace]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands = Loaded(self.places)

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names, in the order of the help."""
        del ctx
        return list(self.commands)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, place.summary) for name, place in self.places.items()])


def _nothing() -> None:
    pass
