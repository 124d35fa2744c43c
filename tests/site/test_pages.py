"""The built pages: there, small, clean, and saying what was recorded."""

import json
import re
from html import unescape
from pathlib import Path

import jsonschema
import pytest
from bs4 import BeautifulSoup, Tag
from site_support import BREAKAGES, each_breakage

from tf_breakages import matrix
from tf_breakages.breakage import Breakage
from tf_breakages.paths import root
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


def soup(site: Path, path: str) -> BeautifulSoup:
    return BeautifulSoup((site / path / "index.html").read_text("utf-8"), "html.parser")


def test_home_shows_the_whole(site: Path) -> None:
    home = soup(site, ".")
    leads_to = {str(link["href"]).partition("?")[0] for link in home.select(".tfb-heat a")}
    assert leads_to == {f"{each.id}/" for each in BREAKAGES}
    outcomes = sum(len(cell.reading) for each in BREAKAGES for cell in each.programs)
    counts = home.select_one(".tfb-counts")
    assert counts is not None
    assert f"{outcomes:,} recorded outcomes" in " ".join(counts.get_text(" ").split())


def test_the_index_lists_every_breakage(site: Path) -> None:
    items = soup(site, "breakages").select(".tfb-index > li")
    assert [str(item.a["href"]) for item in items if item.a] == [f"../{each.id}/" for each in BREAKAGES]
    assert [str(item["data-on"]).split() for item in items] == [each.broken_pins for each in BREAKAGES]


@each_breakage
def test_each_release_has_one_answer(site: Path, breakage: Breakage) -> None:
    answers = article(site, breakage).select(".tfb-verdict")
    assert [pin for each in answers for pin in str(each["data-pins"]).split()] == list(breakage.order)
    befores = [cell for cell in breakage.programs if cell.role == "before"]
    for each in answers:
        named = [int(str(link["href"]).removeprefix("#C")) for link in each.select("li a")]
        for pin in str(each["data-pins"]).split():
            broken = [cell for cell in befores if pin in breakage.broken(cell)]
            assert ("Works" in each.get_text()) == (not broken)
            for cell in (cell for cell in breakage.programs if cell.number in named):
                assert breakage.solves(cell, pin)
            if broken and not any(pin in breakage.unsolved(cell) for cell in broken):
                assert named


@pytest.mark.parametrize("number", range(1, len(load())), ids=lambda number: load()[number].name)
def test_a_release_lists_what_breaks_on_arriving(site: Path, number: int) -> None:
    left, to = load()[number - 1].name, load()[number].name
    page = soup(site, f"releases/{to}")
    arriving, lost = set(), set()
    for each in BREAKAGES:
        for cell in (cell for cell in each.programs if cell.role == "before" and to in each.broken(cell)):
            if cell.ok(left) and left not in each.broken(cell):
                arriving.add(each.id)
            for fix in (*each.answers(cell, "fix"), *each.answers(cell, "trap")):
                if each.solves(fix, left) and not each.solves(fix, to):
                    lost.add(each.id)
    shown = {str(link["href"]).removeprefix("../../").rstrip("/") for link in page.select(".tfb-plan li > a")}
    assert shown == arriving | lost


def test_the_planner_has_every_step(site: Path) -> None:
    items = soup(site, "upgrade").select(".tfb-todo li[data-broken]")
    oldest = load()[0].name  # what was gone before that is on nobody's way
    assert {str(item["data-id"]) for item in items} == {
        each.id for each in BREAKAGES if each.since not in (None, oldest)
    }


def test_json_fits_its_schema_and_the_recordings(site: Path) -> None:
    told = json.loads((site / "breakages.json").read_text("utf-8"))
    schema = json.loads((site / "schemas" / "breakages.schema.json").read_text("utf-8"))
    jsonschema.validate(told, schema, jsonschema.Draft202012Validator)
    assert [each["id"] for each in told["breakages"]] == [each.id for each in BREAKAGES]
    for each, breakage in zip(told["breakages"], BREAKAGES, strict=True):
        assert (site / each["url"] / "index.html").exists()
        assert each["broken"] == breakage.broken_pins
        assert [program["source"] for program in each["programs"]] == [cell.source for cell in breakage.programs]
        for program in each["programs"]:
            assert sorted(pin for pins in program["states"].values() for pin in pins) == sorted(breakage.order)


def test_the_schema_refuses_what_is_wrong() -> None:
    schema = json.loads((root() / "docs" / "schemas" / "breakages.schema.json").read_text("utf-8"))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"version": 2, "pins": [], "breakages": []}, schema)


@each_breakage
def test_a_page_is_there_as_markdown(site: Path, breakage: Breakage) -> None:
    markdown = (site / breakage.id / "index.html.md").read_text("utf-8")
    assert markdown.startswith(f"# {breakage.title}\n")
    for cell in breakage.programs:
        assert cell.source.rstrip() in markdown
    assert f"({breakage.id}/index.html.md)" in (site / "llms.txt").read_text("utf-8")


def test_releases_say_exactly_what_ran(site: Path) -> None:
    table = BeautifulSoup((site / "releases" / "index.html").read_text("utf-8"), "html.parser").select("tbody tr")
    shown = [[cell.get_text() for cell in row.find_all(["th", "td"])][:4] for row in table]
    assert shown == [[pin.name, pin.requirement, pin.python, str(pin.released)] for pin in load()]


def test_the_build_needs_neither_tensorflow_nor_a_pin(site: Path) -> None:
    """The build ran in this environment, which must not have what it is not to need."""
    with pytest.raises(ImportError):
        __import__("tensorflow")
