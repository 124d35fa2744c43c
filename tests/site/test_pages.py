"""The built pages: there, small, clean, and saying what was recorded."""

import json
import re
from html import unescape
from pathlib import Path

import pytest
from bs4 import BeautifulSoup, Tag
from site_support import BREAKAGES, each_breakage

from tf_breakages import matrix
from tf_breakages.breakage import Breakage
from tf_breakages.pins import load
from tf_breakages.site import strips
from tf_breakages.site.page import STYLE, unstyled

LARGEST = 220_000
"""Bytes of a page's HTML; the longest page has 43 programs on 23 pins. The stylesheet that must not return has 574,000."""


def html(site: Path, breakage: Breakage) -> str:
    return (site / breakage.id / "index.html").read_text("utf-8")


def article(site: Path, breakage: Breakage) -> Tag:
    found = BeautifulSoup(html(site, breakage), "html.parser").find("article")
    assert isinstance(found, Tag)
    return found


def states(strip: Tag) -> dict[str, str]:
    """What a strip shows: the state of each pin."""
    shown = {}
    for link in strip.find_all("a"):
        for square in link.find_all("i"):
            for name in square.find_all("small"):
                name.extract()
            shown[square.get_text()] = " ".join(link["class"]).replace("tfb-", "")
    return shown


def test_there_are_breakages() -> None:
    assert BREAKAGES


@each_breakage
def test_size(site: Path, breakage: Breakage) -> None:
    text = html(site, breakage)
    assert len(text.encode()) <= LARGEST, f"{breakage.id} has {len(breakage.programs)} programs; split the notebook"
    assert all(len(style) <= 10_000 for style in re.findall(r"<style.*?</style>", text, re.S))


@each_breakage
def test_nothing_of_jupyter_is_left(site: Path, breakage: Breakage) -> None:
    text = html(site, breakage)
    for stranger in ("In [", "jp-", "clipboard-copy", "mermaid", "mathjax", "anchor-link", "cdnjs", "\ue000"):
        assert stranger not in text.replace("no-copy", ""), stranger


@each_breakage
def test_every_program_stands_there_once_and_whole(site: Path, breakage: Breakage) -> None:
    programs = article(site, breakage).select(".tfb-program")
    shown = [each.select_one(".highlight code").get_text() for each in programs]  # type: ignore[union-attr]
    assert shown == [cell.source.rstrip("\n") for cell in breakage.programs]


@each_breakage
def test_strips_show_the_recorded_states(site: Path, breakage: Breakage) -> None:
    page = article(site, breakage)
    programs = page.select(".tfb-program .tfb-strip")
    expected = [{pin: breakage.state(cell, pin) for pin in breakage.order} for cell in breakage.programs]
    assert [states(each) for each in programs] == expected
    assert all(len(each) == len(load()) for each in expected)
    top = page.select_one(".tfb-strip--page")
    assert top is not None
    assert {pin: state.split()[-1] for pin, state in states(top).items()} == strips.page_states(breakage)


@each_breakage
def test_every_square_leads_to_evidence(site: Path, breakage: Breakage) -> None:
    page = article(site, breakage)
    anchors = {str(each["id"]) for each in page.find_all(id=True)}
    assert len(anchors) == len(page.find_all(id=True)), "an id stands twice"
    assert {str(link["href"])[1:] for link in page.select(".tfb-strip a")} <= anchors


@each_breakage
def test_a_strip_can_be_heard(site: Path, breakage: Breakage) -> None:
    for link in article(site, breakage).select(".tfb-strip a"):
        assert re.match(r"[\d.]+( – [\d.]+)? \w+", str(link["aria-label"]))


@each_breakage
def test_evidence_has_what_was_recorded(site: Path, breakage: Breakage) -> None:
    programs = article(site, breakage).select(".tfb-program")
    for cell, program in zip(breakage.programs, programs, strict=True):
        shown = program.select_one(".tfb-evidence").get_text("\n")  # type: ignore[union-attr]
        for outcome in cell.reading.values():
            for line in (*outcome.get("stdout", "").splitlines()[:50], outcome.get("error", {}).get("message", "")):
                assert matrix.visible(unstyled(line)).strip() in shown


@each_breakage
def test_page_metadata(site: Path, breakage: Breakage) -> None:
    head = BeautifulSoup(html(site, breakage), "html.parser").find("head")
    assert isinstance(head, Tag)
    title = head.find("title")
    description = head.find("meta", attrs={"name": "description"})
    assert isinstance(title, Tag)
    assert isinstance(description, Tag)
    assert breakage.message.replace("`", "") in title.get_text()
    first = article(site, breakage).select_one("article > p:not([class])")
    assert first is not None
    assert str(description["content"]) == " ".join(first.get_text().split())
    assert f"/edit/main/notebooks/{breakage.id}.ipynb" in html(site, breakage)


@each_breakage
def test_the_notebook_lies_beside_its_page(site: Path, breakage: Breakage) -> None:
    assert (site / breakage.id / f"{breakage.slug}.ipynb").read_bytes() == breakage.path.read_bytes()


def records(site: Path) -> list[dict[str, str]]:
    return json.loads((site / "search" / "search_index.json").read_text("utf-8"))["docs"]


def test_search_records_are_clean(site: Path) -> None:
    for record in records(site):
        text = record["title"] + record["text"]
        for stranger in ("In [", "Copied!", "¶", "Out["):
            assert stranger not in text, record["location"]
        assert record["title"].strip()


@each_breakage
def test_search_knows_every_section_program_and_message(site: Path, breakage: Breakage) -> None:
    mine = [record for record in records(site) if record["location"].startswith(f"{breakage.id}/")]
    headings = [line for cell in breakage.cells if cell.kind != "code" for line in markdown_headings(cell.source)]
    assert len(mine) == len(headings) + bool(breakage.related)
    text = unescape("\n".join(re.sub(r"<[^>]*>", "", record["text"]) for record in mine))
    for cell in breakage.programs:
        assert cell.source.rstrip("\n") in text
    for message, _ in breakage.messages:
        assert " ".join(STYLE.sub("", message).split()) in " ".join(text.split())


def markdown_headings(source: str) -> list[str]:
    outside = re.sub(r"^```.*?^```", "", source, flags=re.S | re.M)
    return re.findall(r"^#{1,6} .*", outside, re.M)


def test_home_lists_every_breakage(site: Path) -> None:
    home = BeautifulSoup((site / "index.html").read_text("utf-8"), "html.parser")
    assert {str(link["href"]) for link in home.select(".tfb-index a")} == {f"{each.id}/" for each in BREAKAGES}
    outcomes = sum(len(cell.reading) for each in BREAKAGES for cell in each.programs)
    counts = home.select_one(".tfb-counts")
    assert counts is not None
    assert f"{outcomes:,} recorded outcomes" in " ".join(counts.get_text(" ").split())


def test_releases_say_exactly_what_ran(site: Path) -> None:
    table = BeautifulSoup((site / "releases" / "index.html").read_text("utf-8"), "html.parser").select("tbody tr")
    shown = [[cell.get_text() for cell in row.find_all(["th", "td"])][:4] for row in table]
    assert shown == [[pin.name, pin.requirement, pin.python, str(pin.released)] for pin in load()]


def test_the_build_needs_neither_tensorflow_nor_a_pin(site: Path) -> None:
    """The build ran in this environment, which must not have what it is not to need."""
    with pytest.raises(ImportError):
        __import__("tensorflow")
