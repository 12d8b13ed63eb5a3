"""Which address is answered by what."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from genretagger import __version__
from genretagger.errors import GenretaggerError
from genretagger.files.playlist import to_playlist
from genretagger.shelf import need, pages
from genretagger.shelf.pages import SORTS, Wanted
from genretagger.text import printable
from genretagger.types import Json
from genretagger.web import actions, views
from genretagger.web.actions import (
    BadRequestError,
    ChoiceAsked,
    LoginAsked,
    ModelAsked,
    TeachAsked,
    TracksAsked,
    UndoAsked,
)
from genretagger.web.desk import Books, Desk, shared
from genretagger.web.guard import AccessRules, Guard
from genretagger.web.keeper import Keeper
from genretagger.web.media import Media, number_of
from genretagger.web.password import SESSION_S, Door
from genretagger.web.service import Follower
from genretagger.web.teaching import Teacher
from genretagger.web.timelines import COLUMNS, Timelines

STATIC = Path(__file__).parent / "static"
_KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


T = TypeVar("T")


class Page:
    """The application: the threads behind it, and what answers.

    Args:
        desk: the threads.
        rules: what the server was started with.
        door: the password and the sessions.
    """

    def __init__(self, desk: Desk, rules: AccessRules, door: Door) -> None:
        self.desk, self.hub, self.rules, self.door = desk, desk.hub, rules, door
        self._keeper = Keeper(desk)
        self._follower = Follower(desk.settings, desk.hub)
        self._teacher = Teacher(desk)
        self._timelines = Timelines(desk.settings.data_dir / "shelf")
        self._media = Media(desk)
        self._listening: dict[int, asyncio.Task[bytes]] = {}
        self._trying = asyncio.Semaphore(2)
        self._mapped: tuple[Json, Json] | None = None

    def app(self) -> Guard:
        """The ASGI application, which uvicorn runs."""
        post = ["POST"]
        routes = [
            Route("/", self._index),
            Route("/login", self._login_page),
            Route("/favicon.ico", self._icon),
            Route("/static/{name}", self._static),
            Route("/api/login", self._login, methods=post),
            Route("/api/logout", self._logout, methods=post),
            Route("/api/state", self._state),
            Route("/api/events", self._events),
            Route("/api/overview", self._reader(lambda books, _: views.overview(books))),
            Route("/api/tracks", self._reader(_tracks)),
            Route("/api/albums", self._reader(_albums)),
            Route("/api/genres", self._reader(lambda books, _: views.genre_names(books))),
            Route("/api/map", self._reader(self._map)),
            Route("/api/needs/{why}", self._reader(_needs)),
            Route("/api/track/{number:int}", self._reader(_track)),
            Route("/api/track/{number:int}/similar", self._reader(self._similar)),
            Route("/api/track/{number:int}/timeline", self._timeline),
            Route("/api/teaching", self._reader(lambda books, _: self._teacher.state(books))),
            Route("/audio/{number:int}", self._media.audio),
            Route("/cover/{number:int}", self._media.cover),
            Route("/api/rows", self._poster(TracksAsked, self._rows), methods=post),
            Route("/api/choose", self._poster(ChoiceAsked, self._choose), methods=post),
            Route("/api/undo", self._poster(UndoAsked, self._undo), methods=post),
            Route("/api/playlist", self._playlist, methods=post),
            Route("/api/teach", self._poster(TeachAsked, self._teach), methods=post),
            Route("/api/use", self._poster(ModelAsked, self._use), methods=post),
        ]
        app = Starlette(routes=routes, lifespan=self._life, exception_handlers=_HANDLERS)
        app.router.redirect_slashes = False  # it would repeat the Host header
        return Guard(app, self.rules, self.door)

    @asynccontextmanager
    async def _life(self, _: Starlette) -> AsyncIterator[None]:
        self.hub.bind(asyncio.get_running_loop())
        self._keeper.start()
        self._follower.start()
        try:
            yield
        finally:
            self.hub.close()
            self._teacher.stop()
            self._follower.stop()
            await asyncio.to_thread(self._keeper.stop)
            await asyncio.to_thread(self.desk.close)

    # Pages

    async def _index(self, _: Request) -> Response:
        return FileResponse(STATIC / "index.html", media_type="text/html")

    async def _login_page(self, request: Request) -> Response:
        if self.door.password is None or self.door.knows(request.scope["token"]):
            return RedirectResponse("/", status_code=303)
        return FileResponse(STATIC / "login.html", media_type="text/html")

    async def _icon(self, _: Request) -> Response:
        return FileResponse(STATIC / "icon.svg", media_type="image/svg+xml")

    async def _static(self, request: Request) -> Response:
        name = request.path_params["name"]
        kind = _KINDS.get(Path(name).suffix)
        if kind is None or name not in _FILES:
            return Response(status_code=404)
        return FileResponse(STATIC / name, media_type=kind, headers={"cache-control": "no-cache"})

    # Sessions

    async def _login(self, request: Request) -> Response:
        if self.door.password is None:
            return JSONResponse({"ok": True})
        address = request.client.host if request.client else ""
        if (wait_s := self.door.wait_s(address)) > 0:
            refusal = {"error": f"too many wrong passwords: try again in {wait_s:.0f} s"}
            return JSONResponse(refusal, status_code=429, headers={"retry-after": str(int(wait_s) + 1)})
        password = (await _asked(LoginAsked, request)).password
        self.door.begin_try(address)
        async with self._trying:  # each try takes 16 MB and a core
            fits = await asyncio.to_thread(self.door.password.fits, password)
        if not fits:
            return JSONResponse({"error": "wrong password"}, status_code=403)
        response = JSONResponse({"ok": True})
        response.set_cookie(
            request.scope["cookie_name"],
            self.door.enter(address),
            max_age=int(SESSION_S),
            httponly=True,
            samesite="strict",
            secure=request.headers.get("origin", "").startswith("https:"),
        )
        return response

    async def _logout(self, request: Request) -> Response:
        self.door.leave(request.scope["token"])
        response = JSONResponse({"ok": True})
        response.delete_cookie(request.scope["cookie_name"], httponly=True, samesite="strict")
        return response

    async def _state(self, _: Request) -> Response:
        return JSONResponse(
            {
                "version": __version__,
                "read_only": self.rules.read_only,
                "password": self.door.password is not None,
                "sorts": list(SORTS),
            }
        )

    async def _events(self, _: Request) -> Response:
        if self.hub.is_full:
            return JSONResponse({"error": "too many pages are open"}, status_code=503)
        return StreamingResponse(self.hub.stream(), media_type="text/event-stream")

    # Reading

    def _reader(self, work: Callable[[Books, Request], Json]) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            found = await self.desk.read(lambda books: _encoded(work(books, request)))
            return Response(found, media_type="application/json", status_code=404 if found == b"null" else 200)

        return answer

    def _similar(self, books: Books, request: Request) -> Json:
        number = number_of(request)
        return views.similar(books, self.desk.likeness(books), number, _number(request, "count", 12, 100))

    def _map(self, books: Books, _: Request) -> Json:
        """The map, made again only if there are more vectors or rows: it looks at all of them."""
        state = (books.index.note("likeness"), books.index.note("looked_at"))
        if self._mapped is None or self._mapped[0] != state:
            self._mapped = state, views.points(books)
        return self._mapped[1]

    async def _timeline(self, request: Request) -> Response:
        """The genres of a track over time, stored or heard now; others wait for the same answer."""
        number = number_of(request)

        def look(books: Books) -> tuple[Path | None, str]:
            path = books.store.listings.get_path(number)
            known = None if path is None else books.store.reports.get(path)
            return path, known.track.payload_hash if known is not None and known.track is not None else ""

        path, payload_hash = await self.desk.read(look)
        if path is None or not payload_hash:
            return JSONResponse({"error": "this track cannot be listened to"}, status_code=404)
        model = self.desk.settings.model
        data = await asyncio.to_thread(self._timelines.get, payload_hash, model)
        if data is None:
            data = await shared(self._listening, number, lambda: self._listen(path, payload_hash, model))
        return Response(data, media_type="application/json")

    async def _listen(self, path: Path, payload_hash: str, model: str) -> bytes:
        timeline = await self.desk.listen(lambda pipeline: pipeline.timeline(path, columns=COLUMNS))
        return await asyncio.to_thread(self._timelines.put, payload_hash, model, timeline)

    # Changing

    def _poster(self, kind: type[T], work: Callable[[T], Awaitable[Json]]) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            return Response(_encoded(await work(await _asked(kind, request))), media_type="application/json")

        return answer

    async def _rows(self, what: TracksAsked) -> Json:
        return await self.desk.read(lambda books: pages.get_rows(books.index, what.tracks))

    async def _choose(self, what: ChoiceAsked) -> Json:
        answer = await actions.choose(self.desk, what)
        if answer["ok"]:
            self._teacher.corrections += 1
        return {**answer, "corrections": self._teacher.corrections}

    async def _undo(self, what: UndoAsked) -> Json:
        return await actions.undo(self.desk, what)

    async def _playlist(self, request: Request) -> Response:
        numbers = (await _asked(TracksAsked, request)).tracks

        def work(books: Books) -> bytes:
            paths = (books.store.listings.get_path(number) for number in numbers)
            known = (books.store.reports.get(path) for path in paths if path is not None)
            return b"".join(to_playlist(((each.path, each.track) for each in known if each is not None), None))

        headers = {"content-disposition": 'attachment; filename="genretagger.m3u8"'}
        return Response(await self.desk.read(work), media_type="audio/mpegurl", headers=headers)

    async def _teach(self, what: TeachAsked) -> Json:
        if what.stop:
            self._teacher.stop()
        else:
            await self.desk.read(self._teacher.start)
        return {"ok": True}

    async def _use(self, what: ModelAsked) -> Json:
        await asyncio.to_thread(self._teacher.use, what.model)
        return {"ok": True, "model": what.model}


_FILES = frozenset(each.name for each in STATIC.iterdir()) if STATIC.is_dir() else frozenset()


def _tracks(books: Books, request: Request) -> Json:
    return pages.page(
        books.index, _wanted(request), start=_number(request, "start", 0, 1 << 40), count=_number(request, "count", 100)
    )


def _wanted(request: Request) -> Wanted:
    asked = request.query_params

    def text(name: str) -> str:
        return asked.get(name, "")[:200]

    def share(name: str) -> float | None:
        try:
            value = float(asked[name])
        except (KeyError, ValueError):
            return None
        return value if 0 <= value <= 1 else None

    return Wanted(
        search=text("search"),
        genre=text("genre"),
        state=text("state"),
        artist=text("artist"),
        album=text("album"),
        least=share("least"),
        most=share("most"),
        sort=text("sort") or "artist",
        descending=text("order") == "down",
    )


def _albums(books: Books, request: Request) -> Json:
    return pages.albums(
        books.index,
        search=request.query_params.get("search", "")[:200],
        odd=request.query_params.get("odd") == "yes",
        start=_number(request, "start", 0, 1 << 40),
        count=_number(request, "count", 60),
    )


def _needs(books: Books, request: Request) -> Json:
    why = request.path_params["why"]
    if why not in need.WHYS:
        return None
    start, count = _number(request, "start", 0, 1 << 40), _number(request, "count", 100)
    return {**need.get_list(books.index, why, start=start, count=count), "counts": need.counts(books.index)}


def _track(books: Books, request: Request) -> Json:
    return views.track(books, number_of(request))


def _number(request: Request, name: str, default: int, most: int = pages.MOST_ROWS) -> int:
    text = request.query_params.get(name, "")
    return min(most, int(text)) if text.isascii() and text.isdigit() and len(text) < 16 else default


def _encoded(value: Json) -> bytes:
    """JSON of pure ASCII: whatever a text holds, it stays inside its quotation marks."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode("ascii")


async def _asked(kind: type[T], request: Request) -> T:
    try:
        return actions.asked(kind, json.loads(await request.body()))
    except (ValueError, RecursionError) as error:
        raise BadRequestError("the request is not JSON") from error
    except ClientDisconnect as error:
        raise BadRequestError("the request is too long") from error


async def _tell_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, GenretaggerError)
    status = 400 if isinstance(error, BadRequestError) else 422
    return JSONResponse({"error": printable(error.cause), "hint": printable(error.hint)}, status_code=status)


async def _tell_bug(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": f"a bug: {type(error).__name__}", "hint": "Report it."}, status_code=500)


_HANDLERS: Any = {GenretaggerError: _tell_error, Exception: _tell_bug}


def make(desk: Desk, rules: AccessRules, door: Door) -> Guard:
    """Make the whole application."""
    return Page(desk, rules, door).app()
