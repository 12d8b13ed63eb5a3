"""Says whether PyTorch is installed, and how to get it."""

from __future__ import annotations

import importlib.util

from genretagger.errors import ConfigError


def see_torch() -> None:
    """Check that a network can be trained, before an hour of decoding.

    Raises:
        ConfigError: PyTorch is not installed.
    """
    if importlib.util.find_spec("torch") is None:
        raise ConfigError(
            "a network is trained by PyTorch, which is not installed",
            hint="Install it: pip install 'genretagger[network]' (in a clone: pip install '.[network]')",
        )
