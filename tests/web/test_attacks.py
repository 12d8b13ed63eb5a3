"""What other web sites, other machines and hostile files try, and does not work."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from command_helpers import settings as settings_of
from command_helpers import tag
from few import few
from page_helpers import PASSWORD, Server, empty_library, serving

FOREIGN = "http://evil.example"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for an empty library, shared by the tests that change nothing."""
    with empty_library(tmp_path_factory.mktemp("served")) as running:
        yield running


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example:{port}", "127.0.0.1:1", "localhost", "", "[::1"],
)
def test_a_foreign_host_is_refused(server: Server, host: str) -> None:
    """A site whose name was rebound to our address sends its own name."""
    answer = server.ask("/api/state", headers={"Host": host.format(port=server.port)})
    assert answer.status in (400, 421)
    assert b"version" not in answer.body


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "[::1]:{port}", "LOCALHOST:{port}"])
def test_our_own_names_are_answered(server: Server, host: str) -> None:
    assert server.ask("/api/state", headers={"Host": host.format(port=server.port)}).status == 200


def test_two_hosts_are_refused(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(
            f"GET /api/state HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nHost: evil.example\r\n"
            "Connection: close\r\n\r\n".encode()
        )
        first = connection.recv(4096).split(b"\r\n")[0]
    assert first.split()[1] in (b"400", b"421")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": FOREIGN},
        {"Origin": None},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": None},
    ],
    ids=str,
)
def test_a_post_of_another_site_changes_nothing(server: Server, headers: dict[str, str | None]) -> None:
    answer = server.post("/api/undo", {"run": 1}, headers=headers)
    assert answer.status in (403, 415)


@pytest.mark.parametrize("path", ["/api/tracks", "/api/events", "/audio/1", "/cover/1", "/static/main.js"])
@pytest.mark.parametrize("headers", [{"Origin": FOREIGN}, {"Sec-Fetch-Site": "cross-site"}], ids=["origin", "fetch"])
def test_another_site_reads_nothing(server: Server, path: str, headers: dict[str, str]) -> None:
    assert server.ask(path, headers=headers).status == 403


def test_a_link_on_another_site_leads_to_the_page(server: Server) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert server.ask("/", headers=headers).status == 200
    assert server.ask("/api/tracks", headers=headers).status == 403


@pytest.mark.parametrize("origin", [FOREIGN, None, "own"])
def test_no_socket_is_opened(server: Server, origin: str | None) -> None:
    own = server.address if origin == "own" else origin
    answer = server.ask(
        "/api/events",
        headers={
            **{"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"},
            **{"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Origin": own, "Sec-Fetch-Site": "cross-site"},
        },
    )
    assert answer.status in (400, 403, 426)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_are_refused(server: Server, method: str) -> None:
    answer = server.ask("/api/choose", method=method, headers={"Origin": server.address})
    assert answer.status == 405
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "path",
    [
        *("/static/../app.py", "/static/..%2fapp.py", "/static/%2e%2e/app.py", "/static/....//app.py", "//etc/passwd"),
        *("/audio/../../etc/passwd", "/audio/%2fetc%2fpasswd", "/audio/-1", "/audio/1e9", "/audio/1;ls", "/audio/"),
        *("/cover/..", "/static/", "/static/.", "/static/app.py", "/static/__init__.py", "/static/nothing.js"),
        *("/audio/99999999999999999999999999", "/api/track/99999999999999999999999999", "/api/needs/..%2f"),
    ],
)
def test_a_path_leads_nowhere(server: Server, path: str) -> None:
    answer = server.ask(path)
    assert answer.status in (400, 404, 422, 500)
    assert answer.status != 500, answer.body
    assert b"root:" not in answer.body
    assert b"import" not in answer.body


def test_every_answer_carries_the_policy(server: Server) -> None:
    for path in ("/", "/login", "/static/main.js", "/api/state", "/api/nothing", "/audio/1", "/favicon.ico"):
        headers = server.ask(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["x-frame-options"] == "DENY"


def test_the_page_holds_no_inline_script_and_nothing_from_elsewhere() -> None:
    static = Path(__file__).resolve().parents[2] / "genretagger" / "web" / "static"
    for file in static.iterdir():
        text = file.read_text(encoding="utf-8")
        assert "https://" not in text, file
        assert text.replace("http://www.w3.org/2000/svg", "").count("http://") == 0, file
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
            assert word not in text, file
        if file.suffix == ".html":
            assert "style=" not in text
            assert " on" not in text.replace(" only", "").split("<body")[0]
            assert text.count("<script") == text.count('<script type="module" src="/static/')


@pytest.mark.parametrize("host", few(("0.0.0.0", "::", "192.0.2.1", "example.org"), 0))
def test_other_addresses_need_a_password(data_dir: Path, host: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "genretagger", "serve", "--host", host, "--port", "0"],
        env={**os.environ, "GENRETAGGER_DATA_DIR": str(data_dir)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 2
    assert f"{host} can be reached by other machines, so a password is needed" in ended.stderr
    assert "GENRETAGGER_PAGE_PASSWORD" in ended.stderr


def test_a_password_opens_the_page_and_nothing_else_does(data_dir: Path) -> None:
    with serving(data_dir, "--host", "0.0.0.0", GENRETAGGER_PAGE_PASSWORD=PASSWORD) as server:
        for path in ("/api/state", "/api/tracks", "/api/events", "/audio/1", "/cover/1", "/api/map"):
            assert server.ask(path).status == 401
        assert server.post("/api/undo", {"run": 1}).status == 401
        assert server.ask("/").headers["location"] == "/login"
        assert server.ask("/login").status == 200
        assert server.post("/api/login", {"password": "wrong"}).status == 403
        entered = server.post("/api/login", {"password": PASSWORD})
        assert entered.status == 200
        cookie = entered.headers["set-cookie"]
        for word in ("HttpOnly", "SameSite=strict", "Path=/"):
            assert word.lower() in cookie.lower()
        token = cookie.split(";")[0]
        assert server.ask("/api/state", headers={"Cookie": token}).json["password"] is True
        assert server.ask("/api/state", headers={"Cookie": token + "x"}).status == 401
        assert server.ask("/api/state", headers={"Cookie": "genretagger-1=; \x01"}).status in (400, 401)
        assert server.post("/api/undo", {"run": 1}, headers={"Cookie": token, "Origin": FOREIGN}).status == 403
        assert server.post("/api/logout", {}, headers={"Cookie": token}).status == 200
        assert server.ask("/api/state", headers={"Cookie": token}).status == 401


@pytest.mark.slow
def test_a_wrong_password_a_hundred_times(data_dir: Path) -> None:
    """After a few tries all must wait, even with the right password, however many try at once."""
    with serving(data_dir, GENRETAGGER_PAGE_PASSWORD=PASSWORD) as server:
        began = time.monotonic()

        def attempt(number: int) -> int:
            return server.post("/api/login", {"password": f"guess {number}"}).status

        with ThreadPoolExecutor(20) as threads:
            statuses = list(threads.map(attempt, range(100)))
        looked_at = statuses.count(403)
        assert set(statuses) == {403, 429}
        assert looked_at <= 5 + 2 + int(time.monotonic() - began)
        late = server.post("/api/login", {"password": PASSWORD})
        assert late.status == 429
        assert int(late.headers["retry-after"]) >= 1


def test_the_password_file(data_dir: Path, tmp_path: Path) -> None:
    hashed = subprocess.run(
        [sys.executable, "-m", "genretagger", "serve", "--hash-password"],
        input=PASSWORD + "\n",
        env={**os.environ, "GENRETAGGER_DATA_DIR": str(data_dir)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    assert hashed.startswith("scrypt:")
    assert PASSWORD not in hashed
    file = tmp_path / "password"
    file.write_text(hashed)
    file.chmod(0o600)
    with serving(data_dir, "--password-file", str(file)) as server:
        assert server.post("/api/login", {"password": PASSWORD + "!"}).status == 403
        assert server.post("/api/login", {"password": PASSWORD}).status == 200


@pytest.mark.parametrize(
    ("content", "mode", "says"),
    few(
        [
            ("long enough", 0o644, "other users may read"),
            ("pw!", 0o600, "shorter than"),
            ("scrypt:1:2", 0o600, "damaged"),
        ],
        0,
    ),
)
def test_a_bad_password_file_is_refused(data_dir: Path, tmp_path: Path, content: str, mode: int, says: str) -> None:
    file = tmp_path / "password"
    file.write_text(content)
    file.chmod(mode)
    ended = subprocess.run(
        [sys.executable, "-m", "genretagger", "serve", "--port", "0", "--password-file", str(file)],
        env={**os.environ, "GENRETAGGER_DATA_DIR": str(data_dir)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 2
    assert says in ended.stderr
    assert content not in ended.stderr


def test_two_hundred_requests_at_once(server: Server) -> None:
    def ask(number: int) -> int:
        path = ("/api/tracks", "/api/overview", "/api/albums", "/static/main.js", "/api/map")[number % 5]
        return server.ask(path).status

    with ThreadPoolExecutor(200) as threads:
        assert set(threads.map(ask, range(200))) == {200}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b'{"track":"1"}',
        b'{"track":true}',
        b'{"track":-1}',
        b"[" * 50_000,
        b"\xff\xfe",
    ],
    ids=lambda body: repr(body[:12]),
)
@pytest.mark.parametrize("path", ["/api/choose", "/api/undo", "/api/rows", "/api/playlist", "/api/use", "/api/login"])
def test_nonsense_is_refused_with_a_reason(server: Server, path: str, body: bytes) -> None:
    headers = {"Origin": server.address, "Content-Type": "application/json"}
    answer = server.ask(path, method="POST", body=body, headers=headers)
    assert (answer.status, path) in ((400, path), (422, path), (200, "/api/login"))


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/api/choose", {}, "track"),
        ("/api/choose", {"track": True, "payload_hash": "", "before": [], "genres": []}, "track"),
        ("/api/choose", {"track": 1.0, "payload_hash": "", "before": [], "genres": []}, "track"),
        ("/api/choose", {"track": 1, "payload_hash": "x" * 401, "before": [], "genres": []}, "payload_hash"),
        ("/api/choose", {"track": 1, "payload_hash": "\ud800", "before": [], "genres": []}, "payload_hash"),
        ("/api/choose", {"track": 1, "payload_hash": "", "before": "Jazz", "genres": []}, "before"),
        ("/api/choose", {"track": 1, "payload_hash": "", "before": [], "genres": [1]}, "genres"),
        ("/api/choose", {"track": 1, "payload_hash": "", "before": [], "genres": ["Jazz"] * 21}, "genres"),
        ("/api/undo", {}, "track"),
        ("/api/undo", {"run": "1"}, "run"),
        ("/api/undo", {"track": 0}, "track"),
        ("/api/rows", {"tracks": [1 << 70]}, "tracks"),
        ("/api/rows", {"tracks": {"1": 1}}, "tracks"),
        ("/api/rows", {"tracks": [1] * 5001}, "tracks"),
        ("/api/playlist", {"tracks": [1 << 70]}, "tracks"),
        ("/api/teach", {"stop": "yes"}, "stop"),
        ("/api/teach", [], "the request"),
        ("/api/use", {"model": ["mine"]}, "model"),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_a_wrong_field_is_named(server: Server, path: str, body: object, field: str) -> None:
    answer = server.post(path, body)
    assert answer.status == 400, answer.body
    assert answer.json["error"].startswith(f"{field}: "), answer.json


def test_a_password_that_is_no_text_is_refused(data_dir: Path) -> None:
    with serving(data_dir, GENRETAGGER_PAGE_PASSWORD=PASSWORD) as server:
        for wrong in ("\ud800", "x" * 401, 1, None):
            answer = server.post("/api/login", {"password": wrong})
            assert (answer.status, answer.json["error"].split(":")[0]) == (400, "password")


def test_a_body_that_is_too_long_is_not_read(server: Server) -> None:
    answer = server.post("/api/rows", {"tracks": [1] * 200_000})
    assert answer.status == 400


def test_read_only_changes_nothing(heard: Path, make_techno: Callable[..., Path], music: Path) -> None:
    song = make_techno(music / "song.flac", genre="Techno")
    before = song.read_bytes()
    tag(settings_of(heard), music, dry_run=True)
    with serving(heard, "--read-only") as server:
        row = _row_of(server, song)
        track = server.ask(f"/api/track/{row['id']}").json
        wish = {"track": row["id"], "payload_hash": track["payload_hash"], "before": track["exact"], "genres": ["Jazz"]}
        for path, value in (
            ("/api/choose", wish),
            ("/api/undo", {"run": 1}),
            ("/api/teach", {}),
            ("/api/use", {"model": "x"}),
        ):
            refused = server.post(path, value)
            assert refused.status == 403
            assert "read-only" in refused.json["error"]
        assert server.post("/api/playlist", {"tracks": [row["id"]]}).status == 200
    assert song.read_bytes() == before


def _row_of(server: Server, song: Path) -> dict[str, object]:
    """The row of a file, when the index holds it."""
    found = server.until(
        lambda: server.ask("/api/tracks?count=200").json["rows"],
        lambda rows: any(_path(server, row) == str(song) for row in rows),
    )
    return next(row for row in found if _path(server, row) == str(song))


def _path(server: Server, row: dict[str, object]) -> object:
    return server.ask(f"/api/track/{row['id']}").json["path"]


def test_hostile_tags_and_names_are_shown_as_they_are(
    heard: Path, make_techno: Callable[..., Path], music: Path
) -> None:
    hostile_name = b"<img src=x onerror=document.title='taken'> \x1b[2J \xff.flac"
    song = Path(os.fsdecode(os.fsencode(music) + b"/" + hostile_name))
    title = "</script><script>alert(1)</script>\u202e\x07\u2028"
    make_techno(music / "x.flac", genre="<b>bold</b>", title=title, artist="=cmd()").rename(song)
    tag(settings_of(heard), music, dry_run=True)
    with serving(heard) as server:
        answers = server.until(
            lambda: [row for row in server.ask("/api/tracks?count=200").json["rows"] if row["artist"] == "=cmd()"], bool
        )
        row = answers[0]
        assert row["genres"] == ["<b>bold</b>"]
        assert "</script><script>alert(1)</script>" in row["title"]
        raw = server.ask(f"/api/track/{row['id']}")
        raw.body.decode("ascii")
        assert "\\xff" in raw.json["path"]
        assert "\\x1b[2J" in raw.json["path"]
        assert not any(ord(mark) < 32 or mark in "\u202e\u2028" for mark in json.dumps(raw.json, ensure_ascii=False))
        assert raw.headers["content-type"] == "application/json"
        playlist = server.post("/api/playlist", {"tracks": [row["id"]]})
        assert b"%FF.flac" in playlist.body
        sound = server.ask(f"/audio/{row['id']}")
        assert sound.status == 200
        assert sound.body == song.read_bytes()
