"""Notebooks come from pull requests: what is wrong in one fails the build, and nothing in one runs in a reader's browser."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page
from site_support import mkdocs, search

from tf_breakages import matrix, notebook
from tf_breakages.paths import root
from tf_breakages.pins import load

NAMES = [pin.name for pin in load()]
EVIL = "<script>window.pwned=1</script><img src=x onerror=window.pwned=1>"


def ok(text: str, **more: Any) -> matrix.Outcome:
    return {"status": "ok", "stdout": text, "stderr": "", "result": None, "warnings": [], **more}


def error(kind: str, message: str) -> matrix.Outcome:
    return {**ok(""), "status": "error", "error": {"type": kind, "message": message, "line": 1}}


def code(source: str, tags: list[str], first: matrix.Outcome, then: matrix.Outcome) -> dict[str, Any]:
    reading = {(None, name): first if number == 0 else then for number, name in enumerate(NAMES)}
    data = matrix.output(matrix.group(reading, NAMES), NAMES)
    result = {"output_type": "execute_result", "execution_count": 1, "data": data, "metadata": {}}
    return {
        "cell_type": "code",
        "source": source,
        "metadata": {"tags": tags},
        "execution_count": 1,
        "outputs": [result],
    }


def text(source: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "source": source, "metadata": {}}


def plain_cells(body: str = "Removed.") -> list[dict[str, Any]]:
    return [
        text(f"# `tf.gone` — module 'tensorflow' has no attribute 'gone'\n\n{body}"),
        text("## What breaks"),
        code("tf.gone", ["before"], ok("1\n"), error("AttributeError", "module 'tensorflow' has no attribute 'gone'")),
        code("print(1)", ["fix"], ok("1\n"), ok("1\n")),
    ]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A project with the real site around notebooks of its own."""
    (tmp_path / "tree").mkdir()
    for name in ("mkdocs.yml", "docs", "data", "src", "pins.toml"):
        (tmp_path / "tree" / name).symlink_to(root() / name)
    return tmp_path / "tree"


def write(tree: Path, cells: list[dict[str, Any]], at: str = "topic/gone", **about: Any) -> None:
    path = tree / "notebooks" / f"{at}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    for number, cell in enumerate(cells):
        cell["id"] = f"c{number}"
    metadata = {"topic": "topic", "kind": "error", "baseline": "1.15", "symbols": [], "related": [], **about}
    document = {
        "nbformat": 4,
        "nbformat_minor": 5,
        "cells": cells,
        "metadata": {"kernelspec": notebook.KERNEL, "breakage": metadata},
    }
    path.write_text(json.dumps(document))


def build(tree: Path) -> tuple[int, str]:
    built = mkdocs(tree, tree / "site", tree / "cache")
    return built.returncode, built.stderr


def test_good_links_become_pages(tree: Path) -> None:
    write(
        tree,
        plain_cells(
            "See [that](../other/there.ipynb#What-breaks), [how](../../docs/how-it-works.md#limits) and [below](#what-breaks)."
        ),
    )
    write(tree, plain_cells(), "other/there")
    status, said = build(tree)
    assert status == 0, said
    page = (tree / "site" / "topic" / "gone" / "index.html").read_text()
    for href in ("../../other/there/#what-breaks", "../../how-it-works/#limits", "#what-breaks"):
        assert f'href="{href}"' in page


NOWHERE = {
    "../other/nope.ipynb": "but there is no such page",
    "#nope": "but there is no such anchor on this page",
    "../other/there.ipynb#nope": "but the doc 'other/there.ipynb' does not contain an anchor '#nope'",
    "../../docs/nope.md": "but there is no such page",
    "../../pins.toml": "but there is no such page",
    "javascript:alert(1)": "but it is neither a web address nor a path from this notebook",
    "//example.com/x": "but it is neither a web address nor a path from this notebook",
    "/topic/gone/": "but it is neither a web address nor a path from this notebook",
}


def test_a_link_that_leads_nowhere_fails_the_build(tree: Path) -> None:
    write(tree, plain_cells(" ".join(f"[that]({link})" for link in NOWHERE)))
    write(tree, plain_cells(), "other/there")
    status, told = build(tree)
    assert status == 1
    for link, why in NOWHERE.items():
        assert f"Doc file 'topic/gone.ipynb' contains a link '{link}', {why}" in told
    page = (tree / "site" / "topic" / "gone" / "index.html").read_text()
    assert "javascript:alert" not in page
    assert "example.com/x" not in page


def test_what_cannot_be_shown_fails_the_build_and_spares_the_rest(tree: Path) -> None:
    write(tree, plain_cells(), "topic/fine")
    write(tree, plain_cells("![x](https://example.com/x.png)"), "topic/image")
    write(tree, plain_cells(), "topic/relative", related=["topic/nope"])
    write(tree, plain_cells(), "topic/<b>")
    write(tree, [*plain_cells()[:2], {**plain_cells()[2], "outputs": []}], "topic/unrecorded")
    (tree / "notebooks" / "topic" / "bad.ipynb").write_text("{")
    status, told = build(tree)
    assert status == 1
    for said in (
        "Doc file 'topic/image.ipynb' shows the image 'https://example.com/x.png'",
        "topic/relative names 'topic/nope' as related",
        "topic/<b>.ipynb' is not shown: name topic and notebook with letters",
        "topic/unrecorded has no valid recording of cell 3. Run: tfb record ",
        "topic/bad.ipynb is not JSON",
    ):
        assert said in told
    assert (tree / "site" / "topic" / "fine" / "index.html").exists()


def test_a_hostile_notebook_is_text(tree: Path, serve: Callable[[Path], str], page: Page) -> None:
    evil = [
        text(f"# `{EVIL}` — {EVIL} a < b << c\n\n{EVIL} &lt;i&gt; &#60;script&#62;window.pwned=1&#60;/script&#62;"),
        text(
            f"## {EVIL}\n\n<style>*{{display:none}}</style>\n\n<!-- gone? -->\n\n<div onclick='window.pwned=1'>\n\ntext\n\n</div>"
        ),
        text(
            f"```python\nif a < b: '</code></pre>{EVIL}'\n```\n\n```mermaid\n</pre>{EVIL}\n```\n\n    </code>{EVIL}\n\n`</code>{EVIL}`"
        ),
        text(f'| a | b |\n|:--|---|\n| {EVIL} | [x](https://example.com "\\"onmouseover=\\"window.pwned=1") |'),
        code(
            f"'</code></pre>{EVIL}'\n\n\na < b",
            ["before", EVIL, '"><b class=evil>'],
            ok(EVIL),
            error(EVIL, f"</pre></code>{EVIL}\x1b[31m\u202e"),
        ),
        code(
            "1", ["fix"], ok(EVIL, result=EVIL, stderr=EVIL), ok(EVIL, warnings=[{"category": EVIL, "message": EVIL}])
        ),
    ]
    write(tree, evil, kind=EVIL, symbols=[EVIL])
    status, said = build(tree)
    assert status == 0, said
    address = serve(tree / "site")
    page.on("dialog", lambda dialog: pytest.fail("a dialog opened"))
    for path in ("", "releases/", "topic/gone/"):
        page.goto(address + path)
        page.wait_for_timeout(200)
        assert page.evaluate("window.pwned") is None
        assert page.locator("article :is(script, img, style, .evil), [onclick], [onmouseover]").count() == 0
    shown = page.locator("article")
    assert shown.inner_text().count(EVIL) >= 8
    assert "a < b << c" in page.locator("h1").inner_text()
    assert page.title().startswith(EVIL)
    assert (
        page.evaluate("[...document.querySelectorAll('.tfb-program code')].map(e => e.innerText)[0]")
        == f"'</code></pre>{EVIL}'\n\n\na < b"
    )
    assert "\x1b" not in page.content()
    assert "\u202e" not in page.content()
    search(page, "pwned script window onerror")
    page.wait_for_timeout(500)
    assert page.evaluate("window.pwned") is None
    assert page.locator(".md-search-result img, .md-search-result script").count() == 0
