"""Several files on their way at once, each written as if it were alone.

A *flow* is a generator that handles one file from top to bottom and yields a `Step` wherever it waits for a child
process. `interleave` runs a bounded number of flows in the calling thread, so that inference and the database stay in
one thread while the children decode the next files.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Step:
    """What a flow waits for.

    Attributes:
        future: is sent back into the flow as its result, or thrown as its exception.
        must_finish: whether a stop waits for it: a write that was begun is seen to its end and recorded.
    """

    future: Future[Any]
    must_finish: bool = False


Flow: TypeAlias = Generator[Step, Any, T]


def interleave(flows: Iterable[Flow[T]], *, width: int, stop: Future[None]) -> Generator[T, None, None]:
    """Run flows, `width` at a time, and give their results in the order in which they end.

    Args:
        flows: one for each file; taken as they are needed, so they may be endless.
        width: the most that are on their way at once.
        stop: as soon as it is done, nothing new begins, flows that are inside a step that must finish are seen to
            their end, and all others are closed without a result.
    """
    source = iter(flows)
    running: dict[Future[Any], tuple[Flow[T], Step]] = {}
    try:
        exhausted = False
        while True:
            while not (exhausted or stop.done()) and len(running) < width:
                flow = next(source, None)
                if flow is None:
                    exhausted = True
                else:
                    yield from _advance(flow, None, running)
            if stop.done():
                for future, (flow, step) in list(running.items()):
                    if not step.must_finish:
                        del running[future]
                        flow.close()
            if not running:
                return
            awaited = [*running] if stop.done() else [*running, stop]
            for future in wait(awaited, return_when=FIRST_COMPLETED).done:
                if future is not stop:
                    flow, _ = running.pop(future)
                    yield from _advance(flow, future, running)
    finally:
        for flow, _ in running.values():
            flow.close()


def wait_for(flow: Flow[T]) -> T:
    """Carry one flow to its end, and give its result or raise what it raises."""
    return next(interleave([flow], width=1, stop=Future()))


def _advance(
    flow: Flow[T], future: Future[Any] | None, running: dict[Future[Any], tuple[Flow[T], Step]]
) -> Iterator[T]:
    """Carry a flow to its next step, or to its end."""
    try:
        if future is None:
            step = next(flow)
        elif future.cancelled():
            step = flow.throw(CancelledError())
        elif (error := future.exception()) is not None:
            step = flow.throw(error)
        else:
            step = flow.send(future.result())
    except StopIteration as end:
        yield end.value
    else:
        running[step.future] = (flow, step)
