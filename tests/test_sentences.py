"""Causes and their sentences: every cause has one, and no code looks into it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from genretagger import errors
from genretagger.causes import Cause, Reason, because, recorded
from genretagger.errors import (
    FILE_ERRORS,
    BugError,
    GenretaggerError,
    SystemFaultError,
    TooShortError,
    WorkerTimeoutError,
)
from genretagger.sentences import SENTENCES, brief, matter, sentence

ROOT = Path(__file__).resolve().parents[1]

FIGURES = {
    **{"nearest": "Jazz", "score": 0.4199, "least": 0.5, "grounds": "jazz 0.2", "genres": [["Jazz", 0.9, "jazz 0.5"]]},
    **{"model": "mine", "names": 2, "real_path": "/else/where.mp3", "beside": "a.mp3.part", "fault": "'' is no name"},
    **{
        "genre": "Live",
        "redo": False,
        "write": 7,
        "decision": because(Cause.SILENT),
        "least_s": 5.0,
        "words": "so",
        "zeros": 20_000,
    },
    **{"says": "this user may not write it", "do": "ask"},
}
"""All figures that any sentence uses, but those of failures."""

SAID = {"says": "the audio is damaged", "hint": "Fetch it again."}

EXPECTED = {
    Cause.CHOSEN: "Jazz 0.90: jazz 0.5",
    Cause.SILENT: "nothing but silence or steady noise",
    Cause.NOT_MUSIC: "it does not sound like music (Jazz would be the nearest, with 0.42)",
    Cause.UNLIKE_LEARNED: (
        "it resembles none of the tracks that were learned from (Jazz would be the nearest, with 0.42)"
    ),
    Cause.NOT_CONFIDENT: "no genre reaches 0.5: Jazz is nearest with 0.41 (jazz 0.2)",
    Cause.NONE_ALLOWED: "the model can give none of the allowed genres",
    Cause.NO_GENRES_IN_MODEL: "mine gives no genres by itself: train it on your genres first",
    Cause.HARD_LINKED: (
        "it is hard-linked: it has 2 names; with hard_links = true, genretagger would write a separate copy"
    ),
    Cause.OUTSIDE: "it is outside the folder: to write to /else/where.mp3, set outside_links = true",
    Cause.UNFINISHED: "it is not complete: a.mp3.part says that its download is not finished",
    Cause.INCOMPLETE: (
        "it is not complete: parts of the sound are missing (20,000 bytes are zero); "
        "let its download finish, or fetch it again"
    ),
    Cause.TOO_SHORT: "this user may not write it",  # `says` of a TooShortError
    Cause.NOT_WRITABLE: "this user may not write it: ask",
    Cause.BAD_NAMES: "its genres cannot be written: '' is no name",
    Cause.WOULD_LOSE: "it would lose the genre Live, which the option protect keeps: add it to the plan",
    Cause.CHANGED_SINCE_WRITE: "its genre was changed since: --force undoes it too",
    Cause.DONE_MEANWHILE: "another genretagger undid it meanwhile",
    Cause.UNDO: "undo of write 7",
    Cause.NOT_WRITTEN: "decided, but not written: nothing but silence or steady noise",
}


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_has_a_sentence(cause: Cause) -> None:
    assert cause in SENTENCES
    is_said = cause is Cause.CONTAINER or cause in {each.why for each in FILE_ERRORS.values()} - {Cause.TOO_SHORT}
    figures = SAID if is_said else FIGURES
    said = sentence(Reason(cause, figures))
    assert said == EXPECTED.get(cause, said)
    assert said != cause.value.replace("_", " "), "it fell back to its own name"
    assert said == said.strip()
    assert brief(Reason(cause, figures)) in said


def test_the_matter_is_the_same_for_files_with_other_figures() -> None:
    reasons = [because(Cause.NOT_CONFIDENT, nearest=name, score=0.1, least=0.5, grounds=name) for name in "ab"]
    assert {matter(reason) for reason in reasons} == {"no genre reaches 0.5"}
    assert matter(because(Cause.HARD_LINKED, names=3)) == "it is hard-linked"
    assert sentence(because(Cause.TOO_SHORT, least_s=5.0)) == "it is shorter than 5 s"


@pytest.mark.parametrize("figures", [{}, {"score": "x", "nearest": 3}, {"genres": 4}, {"genres": [[1]]}])
def test_odd_figures_leave_the_name_of_the_cause(figures: dict[str, object]) -> None:
    assert sentence(Reason(Cause.NOT_MUSIC, figures)) == "not music"
    assert sentence(Reason(Cause.CHOSEN, figures)) == "chosen"


def test_an_error_is_told_as_it_always_was() -> None:
    error = TooShortError("too short to hear anything", hint="Leave it.")
    assert sentence(error.reason) == str(error)
    assert sentence(recorded("in other words")) == "in other words"


def test_every_class_of_file_errors_has_a_cause_of_its_own() -> None:
    assert len({kind.why for kind in FILE_ERRORS.values()}) == len(FILE_ERRORS)
    classes = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, errors.FileError)]
    assert set(classes) == set(FILE_ERRORS.values())
    assert (WorkerTimeoutError("x").reason.cause, BugError("x").reason.cause) == (Cause.TIMED_OUT, Cause.BUG)
    assert SystemFaultError("x").reason.cause is Cause.SYSTEM_FAULT


_LOOKS = {
    "startswith",
    "endswith",
    "split",
    "rsplit",
    "partition",
    "rpartition",
    "removeprefix",
    "removesuffix",
    "find",
}
_SENTENCES = {"reason", "cause", "hint", "refusal", "_killed"}


def _looks_into_sentences(tree: ast.AST) -> Iterator[int]:
    """Lines where a name that holds a sentence is taken apart or searched."""

    def is_sentence(node: ast.AST) -> bool:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            return node.func.id == "sentence" or (node.func.id == "str" and any(map(is_sentence, node.args)))
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            return node.slice.value in _SENTENCES
        name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
        return name in _SENTENCES

    def parts(node: ast.expr) -> list[ast.expr]:
        return node.elts if isinstance(node, ast.Tuple) else [node]

    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=value, attr=attr)) if attr in _LOOKS and is_sentence(value):
                yield node.lineno
            case ast.Compare(ops=[ast.In() | ast.NotIn()], comparators=[text]) if is_sentence(text):
                yield node.lineno
            case ast.Compare(left=left, ops=[ast.Eq() | ast.NotEq()], comparators=[right]):
                if all(any(map(is_sentence, parts(side))) for side in (left, right)):
                    yield node.lineno


@pytest.mark.parametrize(
    "file", sorted((*ROOT.glob("genretagger/**/*.py"), *ROOT.glob("plugins/**/*.py"))), ids=lambda file: file.stem
)
def test_no_code_looks_into_a_sentence(file: Path) -> None:
    found = list(_looks_into_sentences(ast.parse(file.read_text("utf-8"))))
    assert not found, f"{file.name}: lines {found}"


@pytest.mark.parametrize(
    "code",
    [
        'details["reason"].startswith("its genre")',
        'outcome.reason.split(":")',
        '"took" in self._killed',
        'str(error.cause).removeprefix("it ")',
        'sentence(outcome.reason).partition(": ")',
        "str(path) not in error.cause",
        "name in details['reason']",
        "known.error.cause == error.cause",
        "(type(known.error), known.error.cause) != (type(error), error.cause)",
    ],
)
def test_the_check_sees_code_that_looks_into_a_sentence(code: str) -> None:
    assert list(_looks_into_sentences(ast.parse(code))) == [1]


def _says_its_path_twice(tree: ast.AST) -> Iterator[int]:
    """Lines where an error gets a path that its words name as well, and does not say so."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            given = {each.arg: ast.dump(each.value) for each in node.keywords}
            named = [ast.dump(each.value) for each in ast.walk(node.args[0]) if isinstance(each, ast.FormattedValue)]
            if given.get("path") in named and "named" not in given:
                yield node.lineno


@pytest.mark.parametrize(
    "file", sorted((*ROOT.glob("genretagger/**/*.py"), *ROOT.glob("plugins/**/*.py"))), ids=lambda file: file.stem
)
def test_no_error_says_its_path_twice(file: Path) -> None:
    assert list(_says_its_path_twice(ast.parse(file.read_text("utf-8")))) == []


def test_the_check_sees_an_error_that_says_its_path_twice() -> None:
    call = 'ConfigError(f"{path} cannot be read", path=path)'
    assert list(_says_its_path_twice(ast.parse(call))) == [1]
    assert not list(_says_its_path_twice(ast.parse(call.replace(")", ", named=True)"))))


def test_a_message_names_its_file_once() -> None:
    path = Path("/a/b.toml")
    assert GenretaggerError("it is no TOML", path=path, hint="Fix it").message == "/a/b.toml: it is no TOML. Fix it"
    assert GenretaggerError(f"{path} is no TOML", path=path, named=True).message == "/a/b.toml is no TOML"
    assert GenretaggerError("a is no folder", path=Path("a")).message == "a: a is no folder", "whatever it says"


def test_the_documentation_names_every_cause() -> None:
    page = (ROOT / "docs" / "causes.md").read_text("utf-8")
    assert [cause.value for cause in Cause if f"`{cause.value}`" not in page] == []
