"""The options of the plugin genretagger, in beets' configuration and on the command line."""

from __future__ import annotations

from optparse import OptionParser
from typing import Any

DEFAULTS: dict[str, Any] = {
    "auto": True,
    "force": False,
    "keep_existing": False,
    "sources": "genretagger",
    "count": None,
    "min_weight": None,
    "whitelist": True,
    "canonical": None,
    "aliases": True,
    "title_case": None,
    "album": None,
    "model": None,
    "device": None,
    "windows": None,
    "hard_links": None,
    "pretend": False,
    "quiet": False,
    "albums": False,
    "undo": False,
    "write": None,
}
"""Every option, including the command's flags; None means genretagger's own configuration."""

ORDERS = "`genretagger`, `genretagger lastgenre`, `lastgenre genretagger`"
"""The values of `sources`."""


def add_flags(parser: OptionParser) -> None:
    """Add the flags of `beet genretag`; each overrides the option with the same name."""
    add = parser.add_option
    add("-p", "--pretend", action="store_true", help="show what would change, and change nothing")
    add("-f", "--force", action="store_true", help="also replace genres that genretagger did not give")
    add("-k", "--keep-existing", action="store_true", dest="keep_existing", help="with --force, add to them")
    add("-q", "--quiet", action="store_true", help="show errors only")
    add("-a", "--albums", action="store_true", help="match albums: one decision for all tracks of each")
    add("-u", "--undo", action="store_true", help="take back what genretagger gave")
    add("-w", "--write", action="store_true", default=None, help="write tags (default: as import.write says)")
    add("-W", "--nowrite", action="store_false", dest="write", help="change beets' library only")
    add("--model", help="name of the model to listen with")


def order_of(sources: Any) -> list[str]:
    """Read the option `sources`, the order at import; empty if it is invalid."""
    names = sources.replace(",", " ").split() if isinstance(sources, str) else sources
    return names if names in (["genretagger"], ["genretagger", "lastgenre"], ["lastgenre", "genretagger"]) else []
