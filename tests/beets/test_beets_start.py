"""What loading the plugin costs every `beet` command, and the message for an older beets."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PARTS = (
    "_genretagger_albums",
    "_genretagger_importing",
    "_genretagger_models",
    "_genretagger_options",
    "_genretagger_session",
    "_genretagger_tagging",
    "_genretagger_tracks",
    "_genretagger_undoing",
    "_genretagger_writing",
    "genretagger",
)
LOADED = """
import sys
import beets.ui.commands
import beets.plugins, beets.library
{before}
known = set(sys.modules)
beets.config["plugins"] = ["genretagger"]
beets.plugins.load_plugins()
(plugin,) = beets.plugins.find_plugins()
print(type(plugin).__name__, [command.name for command in plugin.commands()])
print(*sorted(set(sys.modules) - known))
{after}
"""


def _python(folder: Path, before: str = "", after: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", LOADED.format(before=before, after=after)],
        env={"BEETSDIR": str(folder), "PATH": "", "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


def test_loading_brings_in_nothing_heavy(tmp_path: Path) -> None:
    name, modules = _python(tmp_path).stdout.splitlines()
    assert name == "GenretaggerPlugin ['genretag']"
    loaded = modules.split()
    assert "beetsplug.genretagger" in loaded
    assert [module for module in loaded if module.startswith("genretagger")] == [
        "genretagger",
        "genretagger.addresses",
        "genretagger.causes",
        "genretagger.errors",
        "genretagger.sentences",
        "genretagger.text",
    ]
    heavy = {"numpy", "onnxruntime", "sqlalchemy", "pydantic", "librosa", "av", "mutagen", "rich", "typer", "sklearn"}
    assert not heavy & {module.split(".")[0] for module in loaded}


def test_an_older_beets_is_told_what_is_needed(tmp_path: Path) -> None:
    older = 'from beets.library import Item; Item._fields = {k: v for k, v in Item._fields.items() if k != "genres"}'
    command = (
        "import optparse\n"
        "try: plugin.commands()[0].func(None, optparse.Values(), [])\n"
        'except beets.ui.UserError as error: print("refused:", error)'
    )
    ended = _python(tmp_path, older, command)
    said = "genretagger needs beets 2.7 or newer, because its items have several genres; this is "
    assert f"refused: {said}" in ended.stdout
    assert "Traceback" not in ended.stderr


@pytest.mark.slow
def test_the_plugin_is_in_the_wheel(tmp_path: Path) -> None:
    import zipfile

    repository = Path(__file__).resolve().parents[2]
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path, repository],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = [name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("beetsplug/")]
    assert sorted(names) == [f"beetsplug/{name}.py" for name in PARTS]
