"""Flows over futures that the test completes by hand: nothing here waits for a clock."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

from genretagger.steps.schedule import Flow, Step


class Script:
    """Named flows, each with its futures, and a diary of what happened to them."""

    def __init__(self) -> None:
        self.stop: Future[None] = Future()
        self.futures: dict[str, Future[Any]] = {}
        self.diary: list[str] = []
        self.on_their_way: set[str] = set()
        self.most_on_their_way = 0

    def flow(self, name: str, steps: int = 1, *, must_finish: bool = False) -> Flow[str]:
        """Wait `steps` times, for the futures `a`, `a2`, `a3` …, and end with the last result."""
        self.diary.append(f"{name} begins")
        self.on_their_way.add(name)
        self.most_on_their_way = max(self.most_on_their_way, len(self.on_their_way))
        result: object = "at once"
        try:
            for number in range(steps):
                step = name if number == 0 else f"{name}{number + 1}"
                result = yield Step(self.futures.setdefault(step, Future()), must_finish)
        except GeneratorExit:
            self.diary.append(f"{name} is closed")
            raise
        except OSError as error:
            self.diary.append(f"{name} fails")
            result = error
        finally:
            self.on_their_way.discard(name)
        return f"{name}: {result}"

    def source(self, *names: str, **options: Any) -> Iterator[Flow[str]]:
        return (self.flow(name, **options) for name in names)

    def finish(self, *names: str) -> None:
        for name in names:
            self.futures.setdefault(name, Future()).set_result("done")
