"""A model that was trained on the user's genres, in beets."""

from __future__ import annotations

from pathlib import Path

import command_helpers
import numpy as np
import pytest
import soundfile
from beets_helpers import Beet, Samples, read, scratch, set_tags
from training_helpers import gathered, learned, library

from benchmarks.genres import write_track


@pytest.fixture
def beet(tmp_path: Path, data_dir: Path, techno_samples: Samples, tmp_path_factory: pytest.TempPathFactory) -> Beet:
    made = scratch(tmp_path, data_dir, techno_samples, tmp_path_factory.getbasetemp())
    known = library(data_dir, tmp_path_factory.getbasetemp(), tmp_path / "known")
    learned(data_dir, gathered(data_dir, [known]))
    return made


@pytest.mark.slow
def test_an_import_and_the_command_listen_with_what_was_learned(beet: Beet) -> None:
    write_track(beet.music / "album" / "dub.flac", "Dub", 78, 0, seconds=8.0, tag=None)
    noise = np.random.default_rng(1).standard_normal(8 * 16000) * 0.1
    soundfile.write(beet.music / "album" / "noise.flac", noise, 16000)
    set_tags(beet.music / "album" / "noise.flac", title="Noise", artist="Nobody", album="Dub album 78")
    beet.configure(genretagger={"model": "mine", "auto": False})
    beet("import", beet.music / "album")
    assert beet.genres() == {"Track 0": [], "Noise": []}
    answer = beet("genretag")
    assert "1 tagged, 1 unsure" in answer.err
    assert beet.genres() == beet.in_files() == {"Track 0": ["Dub"], "Noise": []}
    fields = beet.tracks()["Track 0"].fields
    assert fields["genretagger_model"] == "mine"
    path = beet.tracks()["Track 0"].path
    assert path is not None
    assert read(path) == ["Dub"]
    (write,) = command_helpers.writes(beet.data_dir)
    assert (write.model, write.after.values) == ("mine", ("Dub",))
