"""A group of commands whose help says what each does in whole sentences."""

from __future__ import annotations

from typing import Any

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
