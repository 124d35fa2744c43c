"""The site as a reader gets it: built strictly, served, and opened in a Chromium."""

import functools
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from filelock import FileLock
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from site_support import complaints, mkdocs

from tf_breakages.paths import root

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; one build for all of pytest-xdist's workers."""
    top = tmp_path_factory.getbasetemp()
    shared = (top.parent if "PYTEST_XDIST_WORKER" in os.environ else top) / "site"
    with FileLock(f"{shared}.lock"):
        if not shared.exists():
            built = mkdocs(root(), shared.with_name("building"), shared.with_name("cache"))
            if built.returncode:
                pytest.fail("The site does not build:\n" + "\n".join(complaints(built.stderr)), pytrace=False)
            shared.with_name("building").rename(shared)
    return shared


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[[Path], str]]:
    """Serves a folder; gives its address."""
    servers = []

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    def start(folder: Path) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server in servers:
        server.shutdown()


@pytest.fixture(scope="session")
def address(site: Path, serve: Callable[[Path], str]) -> str:
    return serve(site)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
        found = next(filter(None, map(shutil.which, CHROMIUMS)), own if Path(own).exists() else None)
        if found is None:
            pytest.fail("No Chromium is on PATH for the site's tests. Install one: apt-get install chromium")
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        yield context


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    yield from quiet_page(context)


@pytest.fixture(scope="module")
def searched(browser: Browser, address: str) -> Iterator[Page]:
    """The home page, opened once for many searches: each opening builds the whole index anew."""
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        for page in quiet_page(context):
            page.goto(address)
            yield page


def quiet_page(context: BrowserContext) -> Iterator[Page]:
    """A page of a browser; what its console says in red fails the test."""
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    yield page
    assert wrong == []
