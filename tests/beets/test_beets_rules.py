"""Rules that need no beets: options as settings, the genres of albums, the listening thread."""

from __future__ import annotations

import threading
from optparse import OptionParser
from pathlib import Path
from typing import Any

import command_helpers
import pytest
from beets_helpers import SILENCE, Samples, scratch
from beetsplug._genretagger_options import DEFAULTS, add_flags
from conftest import REPOSITORY

from genretagger.beets.ears import Ears
from genretagger.beets.genres import album_genres, score_of
from genretagger.beets.options import settings_for
from genretagger.causes import recorded
from genretagger.config import load
from genretagger.errors import ConfigError, FileError, ModelError


@pytest.mark.parametrize(
    ("tracks", "most", "expected"),
    [
        ([], 2, []),
        ([[], []], 2, []),
        ([["Techno", "House"], ["Techno"], ["House", "Techno"], []], 2, ["Techno", "House"]),
        ([["Techno"], ["Techno"], ["Techno"], ["Jazz"]], 2, ["Techno"]),
        ([["Jazz"], ["Techno"]], 2, ["Jazz", "Techno"]),
        ([["Jazz", "Techno"], ["Techno", "Jazz"]], 1, ["Jazz"]),
        ([["Electronic", "Techno"], ["Techno"], ["Techno", "Dance"]], 1, ["Techno"]),
    ],
    ids=["no track", "no genre", "most first", "too few", "a tie", "first track", "by count"],
)
def test_an_album_has_the_genres_of_most_of_its_tracks(tracks: Any, most: int, expected: list[str]) -> None:
    assert album_genres(tracks, most) == expected


def test_the_score_is_that_of_the_genre_as_it_was_named() -> None:
    scores = {"Hip-Hop": 0.9, "Drum and Bass": 0.8, "Jazz": 0.7}
    settings = load(aliases={"rap": "Rhymes"})
    assert [score_of(name, scores, settings) for name in ("Rhymes", "drum and bass", "Jazz", "Polka")] == [
        0.9,
        0.8,
        0.7,
        0.0,
    ]


def test_every_option_and_flag_is_documented() -> None:
    text = (REPOSITORY / "docs" / "beets.md").read_text("utf-8")
    flags = OptionParser()
    add_flags(flags)
    shown = {str(option.dest) for option in flags.option_list if option.dest}
    for name in set(DEFAULTS) - shown | {"force", "keep_existing", "model"}:
        assert f"| `{name}` |" in text, name
    for option in flags.option_list[1:]:
        assert all(f"{flag}" in text for flag in (*option._short_opts, *option._long_opts)), option


def test_options_in_the_words_of_lastgenre(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("# mine\nTechno\n\nDrum and Bass\n")
    settings = settings_for(
        {
            "count": 3,
            "min_weight": 0.6,
            "whitelist": str(tmp_path / "mine.txt"),
            "canonical": True,
            "aliases": {"Rap": ["Hip-Hop", "Trip-Hop"]},
            "title_case": True,
            "windows": "all",
            "device": "cpu",
            "auto": True,
        }
    )
    assert (settings.max_genres, settings.min_score, settings.add_parents) == (3, 0.6, True)
    assert settings.allow == ("Techno", "Drum and Bass")
    assert settings.aliases == {"Hip-Hop": "Rap", "Trip-Hop": "Rap"}
    assert (settings.capitalisation, settings.windows, settings.device) == ("title", None, "cpu")


def test_what_is_not_said_is_as_genretagger_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENRETAGGER_FORBID", "Pop")
    monkeypatch.setenv("GENRETAGGER_ALLOW", "Jazz")
    monkeypatch.setenv("GENRETAGGER_MAX_GENRES", "4")
    settings = settings_for({"whitelist": True, "aliases": True, "count": None})
    assert (settings.forbid, settings.allow, settings.max_genres) == (("Pop",), ("Jazz",), 4)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"count": 0}, "genretagger.count in beets' configuration: it should be greater"),
        ({"aliases": "Rap"}, "genretagger.aliases in beets' configuration cannot be 'Rap'"),
        ({"canonical": "tree.yaml"}, "genretagger.canonical in beets' configuration cannot be 'tree.yaml'"),
        ({"device": "abacus"}, "genretagger.device in beets' configuration"),
    ],
    ids=["count", "aliases", "canonical", "device"],
)
def test_options_that_make_no_sense_are_named(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match="^" + says.replace(".", r"\.")):
        settings_for(options)


def test_ears_answer_in_order_and_to_several_threads(
    tmp_path: Path, data_dir: Path, techno_samples: Samples, tmp_path_factory: pytest.TempPathFactory
) -> None:
    beet = scratch(tmp_path, data_dir, techno_samples, tmp_path_factory.getbasetemp())
    files = beet.copies(beet.music)
    silence, absent = beet.recordings / SILENCE, beet.music / "absent.mp3"
    ears = Ears(command_helpers.settings(data_dir, jobs=2), notice=command_helpers.unexpected, progress=lambda *_: None)
    asked = [files[3], absent, silence, *files, files[3]]
    answers: dict[int, list[tuple[str, tuple[str, ...]]]] = {}

    def ask(number: int) -> None:
        heard = list(ears.hear(asked))
        assert [each.outcome.path for each in heard] == asked
        answers[number] = [(each.outcome.status.value, each.outcome.genres) for each in heard]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    techno = ("tagged", ("Trance",))
    assert ears.decide_together([silence, absent, *files]).genres == ("Trance",)
    assert ears.decide_together([silence]).genres == ()
    for thread in threads:
        thread.join()
    assert answers[0] == answers[1] == [techno, ("failed", ()), ("skipped", ()), *[techno] * 5]
    with pytest.raises(FileError, match="gone"):
        ears.announce(absent, ("Techno",), reason=recorded(""))
    ears.close()
    ears.close()
    with pytest.raises(FileError, match="stopped"):
        list(ears.hear(files))


def test_ears_say_why_they_cannot_hear(tmp_path: Path) -> None:
    settings = command_helpers.settings(tmp_path, model="absent")
    ears = Ears(settings, notice=command_helpers.unexpected, progress=lambda *_: None)
    for _ in range(2):
        with pytest.raises(ModelError, match="absent"):
            list(ears.hear([tmp_path / "song.mp3"]))
    ears.close()
    Ears(settings, notice=command_helpers.unexpected, progress=lambda *_: None).close()
