"""Together with the real lastgenre: the second plugin fills only what the first left empty.

The files name no artist, so lastgenre asks no server; its fallback stands for what it would find.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from beets_helpers import SILENCE, Beet, Samples, scratch, set_tags

TECHNO, POLKA = ["Trance"], ["Polka"]


@pytest.fixture
def beet(tmp_path: Path, data_dir: Path, techno_samples: Samples, tmp_path_factory: pytest.TempPathFactory) -> Beet:
    """A folder with a techno track and a silent one."""
    beet = scratch(tmp_path, data_dir, techno_samples, tmp_path_factory.getbasetemp())
    (techno,) = beet.copies(beet.music / "album", ["flac"])
    silence = beet.music / "album" / SILENCE
    silence.write_bytes((beet.recordings / SILENCE).read_bytes())
    set_tags(techno, artist="", title="techno")
    set_tags(silence, artist="", title="silence", album="Album")
    return beet


@pytest.mark.parametrize(
    ("sources", "plugins", "fallback", "expected"),
    [
        pytest.param(
            None,
            "lastgenre genretagger",
            "Polka",
            {"techno": TECHNO, "silence": POLKA},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "genretagger, lastgenre",
            "lastgenre genretagger",
            "Polka",
            {"techno": TECHNO, "silence": POLKA},
            marks=pytest.mark.slow,
        ),
        ("lastgenre genretagger", "genretagger lastgenre", "Polka", {"techno": POLKA, "silence": POLKA}),
        ("lastgenre genretagger", "genretagger lastgenre", None, {"techno": TECHNO, "silence": []}),
    ],
    ids=["by default", "genretagger first", "lastgenre first", "lastgenre first and without a word"],
)
def test_each_fills_what_the_other_left_empty(
    beet: Beet, sources: str | None, plugins: str, fallback: str | None, expected: dict[str, list[str]]
) -> None:
    options = {} if sources is None else {"sources": sources}
    beet.configure(plugins, genretagger=options, lastgenre={"source": "track", "fallback": fallback})
    beet("import", beet.music)
    assert beet.genres() == expected
    assert beet.in_files()["techno"] == (TECHNO if expected["techno"] == TECHNO else []), "lastgenre writes no files"
    assert ("genretagger_score" in beet.tracks()["techno"].fields) == (expected["techno"] == TECHNO)
    assert "genretagger_score" not in beet.tracks()["silence"].fields


@pytest.mark.slow
def test_the_commands_keep_to_the_same_rule(beet: Beet) -> None:
    beet.configure("genretagger lastgenre", genretagger={"auto": False}, lastgenre={"auto": False, "fallback": "Polka"})
    beet("import", beet.music)
    assert "1 tagged, 1 unsure" in beet("genretag").err
    beet("lastgenre", "-A")
    assert beet.genres() == beet.in_files() == {"techno": TECHNO, "silence": POLKA}
    assert "0 tagged, 0 unsure, 2 kept" in beet("genretag").err
