"""The plugin in this process, through the test helpers of beets."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import beetsplug.genretagger
import pytest
from beets.library import Item
from beets.test import helper
from beets.util import cached_classproperty
from beets_helpers import Beet, Samples, read, scratch


class Inside(helper.PluginMixin, helper.TestHelper):
    """beets with the plugin, set up and torn down by its own helpers."""

    plugin = "genretagger"
    preload_plugin = False


@pytest.fixture
def beet(tmp_path: Path, data_dir: Path, techno_samples: Samples, tmp_path_factory: pytest.TempPathFactory) -> Beet:
    return scratch(tmp_path, data_dir, techno_samples, tmp_path_factory.getbasetemp())


@pytest.fixture
def inside(beet: Beet, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name, value in (("DATA_DIR", str(beet.data_dir)), ("DEVICE", "cpu"), ("JOBS", "1")):
        monkeypatch.setenv(f"GENRETAGGER_{name}", value)
    helpers: Any = Inside()
    helpers.setup_beets()
    # the helpers of beets 2.7 forget where plugins of others are installed
    helpers.config["pluginpath"] = [str(Path(str(beetsplug.genretagger.__file__)).parent)]
    helpers.load_plugins()
    cached_classproperty.cache.clear()  # the types of fields, from before the plugin was there
    yield helpers
    helpers.teardown_beets()
    logging.getLogger("beets").handlers.clear()  # they print to what pytest closes


def test_storing_an_album_never_wipes_its_tracks(beet: Beet, inside: Any, capsys: pytest.CaptureFixture[str]) -> None:
    items = [Item.from_path(path) for path in beet.copies(beet.music, ["flac", "mp3"])]
    items[1].genres = ["Polka"]
    album = inside.lib.add_album(items)
    assert list(album.genres) == []
    inside.run_command("genretag")
    out = capsys.readouterr().out
    assert "Trance" in out
    assert "Polka" not in out
    album.load()
    assert list(album.genres) == ["Trance", "Polka"], "one track has each; those in front come first"
    album.store()
    for item in items:
        item.load()
    assert [list(item.genres) for item in items] == [["Trance"], ["Polka"]]
    assert read(Path(os.fsdecode(items[0].path))) == ["Trance"]


def test_the_fields_have_types(beet: Beet, inside: Any) -> None:
    (item,) = [Item.from_path(path) for path in beet.copies(beet.music, ["flac"])]
    inside.lib.add(item)
    inside.run_command("genretag", "-q")
    (found,) = inside.lib.items("genretagger_score:0.5..1 genretagger_source:track genretagger_genres:Trance")
    assert found.genretagger_genres == "Trance"
    assert isinstance(found.genretagger_score, float)
    assert not inside.lib.items("genretagger_score:..0.49")
