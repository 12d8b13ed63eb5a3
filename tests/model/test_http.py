"""Downloads from a real server on this machine, which breaks off, changes its mind, and lies."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import model_factory as factory
import pytest

from genretagger.errors import ModelError
from genretagger.model import ModelStore, opener
from genretagger.model.catalogue import CatalogueEntry, Remote, catalogue
from genretagger.model.http import ATTEMPTS, fetch

CONTENT = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MOST = 10 << 20


class Shop(ThreadingHTTPServer):
    """A server with Range and ETag.

    Attributes:
        files: path → content.
        version: the ETag of all of them.
        breaks: after how many bytes each of the next answers breaks off.
        status: what it answers instead, if not 0.
        slow: sends what it has a byte at a time, with this many seconds between two; 0 sends at
            once.
        slow_headers: whether the headers come so too.
        headers: further ones.
        ignores_parts: whether it sends all of a file when it is asked for a part.
        leads_to: where it redirects all requests for `/elsewhere` to.
        silent: whether it keeps the length of its answers to itself.
        shift: how many bytes behind the right one it begins a part.
        asked: path and range of each request.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Desk)
        self.files: dict[str, bytes] = {}
        self.version = '"1"'
        self.breaks: list[int] = []
        self.status = 0
        self.shift = 0
        self.silent = False
        self.slow = 0.0
        self.slow_headers = False
        self.headers: dict[str, str] = {}
        self.leads_to = ""
        self.ignores_parts = False
        self.closing = threading.Event()
        self.asked: list[tuple[str, str | None]] = []

    def handle_error(self, *_: Any) -> None:
        """Say nothing of clients that hang up."""

    def address(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"


class _Desk(BaseHTTPRequestHandler):
    server: Shop

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.asked.append((self.path, wanted))
        if self.path == "/elsewhere":
            self.send_response(302)
            self.send_header("Location", self.server.leads_to)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.server.slow_headers:
            self.trickle(b"HTTP/1.0 200 OK\r\n" + b"X-Wait: yes\r\n" * 1000)
            return
        content = self.server.files.get(self.path)
        if content is None or self.server.status:
            self.send_error(self.server.status or 404)
            return
        start = 0
        if wanted and self.headers.get("If-Range") == self.server.version and not self.server.ignores_parts:
            start = int(wanted.removeprefix("bytes=").rstrip("-")) + self.server.shift
            if start >= len(content):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        if not self.server.silent:
            self.send_header("Content-Length", str(len(content) - start))
        if self.server.version:
            self.send_header("ETag", self.server.version)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.server.slow:
            self.trickle(content[start:])
            return
        most = self.server.breaks.pop(0) if self.server.breaks else len(content)
        self.wfile.write(content[start : start + most])

    def trickle(self, content: bytes) -> None:
        """Send a byte now and then, until the other end goes."""
        for number in range(len(content)):
            try:
                self.wfile.write(content[number : number + 1])
            except OSError:
                return
            if self.server.closing.wait(self.server.slow):
                return

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def shop() -> Iterator[Shop]:
    with Shop() as server:
        server.files["/model"] = CONTENT
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.closing.set()
        server.shutdown()
        thread.join()


def get(shop: Shop, kept: Path, path: str = "/model", **options: Any) -> bytes:
    pauses: list[float] = []
    options = {"most_bytes": MOST, "sha256": SHA256, "progress": lambda *_: None, "pause": pauses.append, **options}
    return fetch(shop.address(path), kept, **options)


def test_a_download_goes_on_where_it_broke_off(shop: Shop, tmp_path: Path) -> None:
    shop.breaks = [300_000, 200_000]
    answer: list[tuple[str, int, int | None]] = []
    assert get(shop, tmp_path / "part", progress=lambda *each: answer.append(each)) == CONTENT
    assert [wanted for _, wanted in shop.asked] == [None, "bytes=300000-", "bytes=500000-"]
    assert answer[-1] == ("fetching", len(CONTENT), len(CONTENT))
    assert list(tmp_path.iterdir()) == []


def test_what_has_arrived_outlives_the_attempt_and_the_process(shop: Shop, tmp_path: Path) -> None:
    shop.breaks = [100_000] * ATTEMPTS
    with pytest.raises(ModelError, match="broke off"):
        get(shop, tmp_path / "part")
    assert (tmp_path / "part").stat().st_size == 100_000 * ATTEMPTS
    shop.asked.clear()
    assert get(shop, tmp_path / "part") == CONTENT
    assert shop.asked == [("/model", f"bytes={100_000 * ATTEMPTS}-")]


def test_two_versions_are_never_mixed(shop: Shop, tmp_path: Path) -> None:
    shop.breaks = [100_000] * ATTEMPTS
    with pytest.raises(ModelError):
        get(shop, tmp_path / "part")
    shop.version, shop.files["/model"] = '"2"', b"new" * 1000
    assert get(shop, tmp_path / "part", sha256="") == b"new" * 1000


def test_a_part_that_is_longer_than_the_file_is_thrown_away(shop: Shop, tmp_path: Path) -> None:
    shop.breaks = [500_000] * ATTEMPTS
    shop.files["/model"] = CONTENT + bytes(3 * 500_000)
    with pytest.raises(ModelError):
        get(shop, tmp_path / "part")
    shop.files["/model"] = CONTENT
    assert get(shop, tmp_path / "part") == CONTENT


def test_a_part_that_was_not_asked_for_is_not_taken_for_the_whole(shop: Shop, tmp_path: Path) -> None:
    shop.breaks, shop.shift = [100_000], 5000
    assert get(shop, tmp_path / "part", sha256="") == CONTENT
    assert [wanted for _, wanted in shop.asked] == [None, "bytes=100000-", None]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_no_trouble_of_the_network(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "part").symlink_to("/dev/full")
    with pytest.raises(ModelError, match="cannot be kept: No space") as caught:
        get(shop, tmp_path / "part")
    assert caught.value.path == tmp_path
    assert "space" in caught.value.hint
    assert len(shop.asked) == 1  # another attempt would find it as full


def test_another_file_than_expected_is_refused(shop: Shop, tmp_path: Path) -> None:
    shop.files["/model"] = b"something else"
    with pytest.raises(ModelError, match="SHA-256 differs"):
        get(shop, tmp_path / "part")
    assert len(shop.asked) == 2  # once more, in case it was damaged on its way
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("status", "attempts"), [(404, 1), (403, 1), (503, ATTEMPTS)])
def test_refusals_are_told_with_the_address(shop: Shop, tmp_path: Path, status: int, attempts: int) -> None:
    shop.status = status
    with pytest.raises(ModelError, match=rf"\({status}\): http://127") as caught:
        get(shop, tmp_path / "part")
    assert caught.value.hint
    assert len(shop.asked) == attempts


@pytest.mark.parametrize("silent", [False, True], ids=["answered", "silent"])
def test_too_much_is_refused_and_not_kept(shop: Shop, tmp_path: Path, silent: bool) -> None:
    shop.silent = silent
    with pytest.raises(ModelError, match="larger than 0 MB"):
        get(shop, tmp_path / "part", most_bytes=1000)
    assert list(tmp_path.iterdir()) == []


def test_nobody_there_is_told_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be reached") as caught:
        fetch(
            "http://127.0.0.1:9/model",
            tmp_path / "part",
            most_bytes=MOST,
            progress=lambda *_: None,
            pause=lambda _: None,
        )
    assert caught.value.hint == "Check the network and the proxy. Then try again: nothing has arrived yet."


@pytest.mark.parametrize("where", ["headers", "content", "content of unknown length"])
def test_a_server_that_sends_too_slowly_is_given_up(
    shop: Shop, tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A byte every 20 ms begins each timeout again, and a model would take weeks."""
    monkeypatch.setattr(opener, "LEAST_S", 0.5)
    shop.slow, shop.slow_headers, shop.silent = 0.02, where == "headers", "unknown" in where
    with pytest.raises(ModelError, match=r"it sends less than 10 kB in 0\.5 s") as caught:
        get(shop, tmp_path / "part", sha256="")
    assert len(shop.asked) == ATTEMPTS
    if where == "headers":
        assert "nothing has arrived yet" in caught.value.hint
    else:
        assert "The next try goes on after the " in caught.value.hint
        kept = (tmp_path / "part").read_bytes()
        assert kept == CONTENT[: len(kept)] != b""


def test_a_server_that_is_only_slow_is_waited_for(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opener, "LEAST_S", 0.2)
    monkeypatch.setattr(opener, "LEAST_BYTES", 2)
    shop.files["/model"], shop.slow = CONTENT[:100], 0.01
    assert get(shop, tmp_path / "part", sha256="") == CONTENT[:100]
    assert len(shop.asked) == 1


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/model", "data:,x", "gopher://x", "http://["])
def test_a_redirect_elsewhere_is_refused_at_once(shop: Shop, tmp_path: Path, target: str) -> None:
    shop.leads_to = target
    with pytest.raises(ModelError, match="neither http nor https") as caught:
        get(shop, tmp_path / "part", "/elsewhere")
    assert target in caught.value.cause
    assert len(shop.asked) == 1
    assert list(tmp_path.iterdir()) == []


def test_redirects_to_http_are_followed_and_circles_are_not(shop: Shop, tmp_path: Path) -> None:
    shop.leads_to = "/model"
    assert get(shop, tmp_path / "part", "/elsewhere") == CONTENT
    shop.leads_to = "/elsewhere"
    shop.asked.clear()
    with pytest.raises(ModelError, match="circle"):
        get(shop, tmp_path / "part", "/elsewhere")
    assert len(shop.asked) <= 11  # one attempt


@pytest.mark.parametrize(
    ("version", "headers", "says"),
    [
        pytest.param('"1"', {}, "The next try goes on after the 400.0 kB that have arrived.", id="parts"),
        pytest.param("", {}, "the server does not support resuming", id="no mark of the version"),
        pytest.param('W/"1"', {}, "the server does not support resuming", id="a weak mark"),
        pytest.param(
            '"1"', {"Accept-Ranges": "none"}, "The next try starts from the beginning", id="no parts, as it says"
        ),
    ],
)
def test_the_message_says_truly_whether_the_next_try_goes_on(
    shop: Shop, tmp_path: Path, version: str, headers: dict[str, str], says: str
) -> None:
    shop.version, shop.headers, shop.breaks = version, headers, [100_000] * ATTEMPTS
    with pytest.raises(ModelError, match="broke off") as caught:
        get(shop, tmp_path / "part")
    assert says in caught.value.hint.replace("0.4 MB", "400.0 kB")
    shop.asked.clear()
    assert get(shop, tmp_path / "part") == CONTENT
    assert (shop.asked[0][1] is not None) == ("goes on" in says)


def test_a_server_that_sends_all_of_it_again_is_known_by_that(shop: Shop, tmp_path: Path) -> None:
    shop.breaks = [300_000, 100_000, 100_000, 100_000]
    shop.ignores_parts = True
    with pytest.raises(ModelError, match="broke off") as caught:
        get(shop, tmp_path / "part")
    assert "The next try starts from the beginning" in caught.value.hint


def entry(shop: Shop, sha256: str) -> CatalogueEntry:
    return CatalogueEntry(
        "tiny", "for tests", "CC BY-NC-SA 4.0", 1, "", True, Remote(shop.address("/onnx"), sha256),
        Remote(shop.address("/card")),
    )  # fmt: skip


def test_a_model_is_pulled_checked_and_noted(shop: Shop, tmp_path: Path) -> None:
    onnx = factory.backbone(tmp_path / "tiny.onnx").read_bytes()
    shop.files |= {"/onnx": onnx, "/card": factory.card(tmp_path / "tiny.json").read_bytes()}
    store = ModelStore(tmp_path / "models")
    with pytest.raises(ModelError, match="SHA-256 differs"):
        store.pull("tiny", entry=entry(shop, "0" * 64))
    model = store.pull("tiny", entry=entry(shop, hashlib.sha256(onnx).hexdigest()))
    assert (model.card.licence, model.card.source) == ("CC BY-NC-SA 4.0", shop.address("/onnx"))
    assert store.verify("tiny") == model
    assert {path.name for path in store.folder.iterdir()} == {".lock", "tiny"}
    shop.asked.clear()
    assert store.pull("tiny", entry=entry(shop, "")) == model
    assert shop.asked == []


@pytest.mark.parametrize(
    "card",
    [
        pytest.param(None, id="none"),
        pytest.param(b"<html>Sign in to go on</html>", id="a page instead"),
        pytest.param(b"[" + b"0, " * (5 << 20) + b"0]", id="endless"),
    ],
)
def test_without_its_card_a_network_is_not_fetched(shop: Shop, tmp_path: Path, card: bytes | None) -> None:
    shop.files |= {"/onnx": CONTENT} | ({} if card is None else {"/card": card})
    with pytest.raises(ModelError):
        ModelStore(tmp_path / "models").pull("tiny", entry=entry(shop, ""))
    assert {path for path, _ in shop.asked} == {"/card"}


def test_a_page_instead_of_a_network_is_refused(shop: Shop, tmp_path: Path) -> None:
    shop.files |= {"/onnx": b"<html>Sign in</html>", "/card": factory.card(tmp_path / "tiny.json").read_bytes()}
    store = ModelStore(tmp_path / "models")
    with pytest.raises(ModelError, match="not an ONNX model"):
        store.pull("tiny", entry=entry(shop, ""))
    assert store.installed() == []


def test_the_catalogue_says_what_a_person_wants_to_know() -> None:
    for name, each in catalogue().items():
        assert each.what
        assert each.licence
        assert each.size_bytes > 1_000_000
        if each.onnx is not None and each.card is not None:
            assert each.consent, name
            assert each.terms.startswith("https://")
            assert each.onnx.address.startswith("https://essentia.upf.edu/models/")
            assert each.card.address.endswith(".json")
            assert each.onnx.sha256 == "" or len(each.onnx.sha256) == 64
