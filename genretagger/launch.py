"""How child processes of this program are started: the one place for their command and environment.

A child runs a module of this package with the Python that runs us. It never looks into its working
directory for modules: a folder of music may hold a file named json.py.
"""

from __future__ import annotations

import os
import site
import sys
from pathlib import Path

import genretagger
from genretagger.errors import ConfigError


def command(module: str, *arguments: str, warnings: bool = True) -> list[str]:
    """Give the command that runs a module of this package.

    Args:
        module: its name without the package, such as "worker".
        arguments: what it is given.
        warnings: whether Python may print warnings, which nobody reads in some children.

    Raises:
        ConfigError: Python does not know its own program (embedded interpreters).
    """
    if not sys.executable:
        raise ConfigError(
            "Python does not know its own program, which is needed to start child processes",
            hint="Run genretagger with a normal Python.",
        )
    silent = () if warnings else ("-W", "ignore")
    return [sys.executable, "-P", *silent, "-m", f"{genretagger.__name__}.{module}", *arguments]


def environment(**variables: str) -> dict[str, str]:
    """Give our environment and some more, in which a child finds the same genretagger as we did.

    Args:
        variables: what the child needs beside that; they win.
    """
    ours = {**os.environ, **variables}
    package = str(Path(genretagger.__file__).resolve().parents[1])
    installed = {str(Path(folder).resolve()) for folder in (*site.getsitepackages(), site.getusersitepackages())}
    if package not in installed:
        others = ours.get("PYTHONPATH")
        ours["PYTHONPATH"] = os.pathsep.join([package, others] if others else [package])
    return ours


def root_folder() -> Path:
    """A working directory for lasting children: ours may go away, or be on a disk to unmount."""
    return Path(Path(sys.executable or os.sep).anchor)
