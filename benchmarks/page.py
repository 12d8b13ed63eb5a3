"""How quick each view of the page is with 100,000 tracks; the server's memory: `make bench-page`.

    python -m benchmarks.page [DATA_DIR [TRACKS]]

The library is made in DATA_DIR if it is not there (3 GB for 100,000 tracks). A view takes from the
click to its first content in Chromium, the middle of five.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

from benchmarks.page_library import make

VIEWS = {
    "overview": ("", ".barlist li"),
    "library": ("library", ".row .c-title"),
    "library, by score": ("library?sort=score&order=down", ".row .c-title"),
    "library, one genre": ("library?genre=Jazz", ".row .c-title"),
    "library, searched": ("library?search=mika+jazz", ".row .c-title"),
    "albums": ("albums", ".wall li"),
    "a track": ("track/{number}", ".headline h1"),
    "needs an ear": ("ear/lesson", ".queue-list li"),
    "map": ("map", ".map-canvas"),
}
REQUESTS = {
    "first rows": "/api/tracks?count=100",
    "rows from 90,000 on": "/api/tracks?count=100&start=90000&sort=score",
    "similar tracks": "/api/track/{number}/similar?count=20",
}
_TIMES = 5


def main() -> None:
    """Measure, and print a table."""
    import urllib.request

    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "web"))
    from chromium import find

    data_dir = Path(sys.argv[1] if len(sys.argv) > 1 else ".cache/page-100k")
    if not (data_dir / "library.sqlite3").exists():
        make(data_dir, int(sys.argv[2]) if len(sys.argv) > 2 else 100_000)
    command = [sys.executable, "-m", "genretagger", "serve", "--port", "0"]
    environment = {**os.environ, "GENRETAGGER_DATA_DIR": str(data_dir)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        began = time.perf_counter()
        found = re.search(r"http://\S+", server.stderr.readline())
        assert found is not None
        address = found[0]
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=find(), args=["--no-sandbox"])
                cold = browser.new_page()
                at = time.perf_counter()
                cold.goto(address)
                cold.wait_for_selector(".tile strong")
                print(f"| first view after the start | {time.perf_counter() - at:.2f} s |")
                cold.close()
                page = browser.new_page(viewport={"width": 1280, "height": 900})
                page.goto(address)
                page.wait_for_selector(".barlist li", timeout=600_000)
                number = page.evaluate("fetch('/api/tracks?count=1').then((answer) => answer.json())")["rows"][0]["id"]
                for name, (path, seen) in VIEWS.items():
                    times = []
                    for _ in range(_TIMES):
                        page.goto(f"{address}#/nowhere")
                        page.goto("about:blank")
                        at = time.perf_counter()
                        page.goto(f"{address}#/{path.format(number=number)}")
                        page.wait_for_selector(seen, timeout=120_000)
                        times.append(time.perf_counter() - at)
                    print(f"| {name} | {statistics.median(times):.2f} s |")
                browser.close()
            for name, path in REQUESTS.items():
                times = []
                for _ in range(_TIMES):
                    at = time.perf_counter()
                    urllib.request.urlopen(address.rstrip("/") + path.format(number=number)).read()
                    times.append(time.perf_counter() - at)
                print(f"| {name} (the answer alone) | {1000 * statistics.median(times):.0f} ms |")
            status = Path(f"/proc/{server.pid}/status").read_text(encoding="ascii")
            for label, word in (("memory of the server", "VmRSS"), ("its highest", "VmHWM")):
                kilobytes = re.search(rf"{word}:\s+(\d+)", status)
                print(f"| {label} | {int(kilobytes[1]) / 1024:.0f} MB |" if kilobytes else "")
            print(f"| the run took | {time.perf_counter() - began:.0f} s |")
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
