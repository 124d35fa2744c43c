"""The parts of the site that need no build: what goes to mkdocs-jupyter, what is kept of its HTML, strips and rows."""

import json
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from tf_breakages.breakage import Breakage, Cell
from tf_breakages.matrix import Outcome
from tf_breakages.site import corpus, lists, page, strips
from tf_breakages.site.extract import ExtractError, code, extract, slug
from tf_breakages.site.prepare import GUARD, prepared, put

ORDER = ("1.15", "2.0", "2.1", "2.6", "2.16")


def ok(stdout: str, **more: object) -> Outcome:
    return {"status": "ok", "stdout": stdout, "stderr": "", "result": None, "warnings": [], **more}


def error(message: str, line: int | None = 2) -> Outcome:
    return {**ok(""), "status": "error", "error": {"type": "AttributeError", "message": message, "line": line}}


def program(number: int, role: str, *outcomes: Outcome) -> Cell:
    reading = {(None, pin): outcome for pin, outcome in zip(ORDER, outcomes, strict=True)}
    return Cell(number, "code", f"program {number}", frozenset({role} - {""}), reading)


def text(source: str, number: int = 1) -> Cell:
    return Cell(number, "markdown", source, frozenset())


def breakage(*cells: Cell, baseline: str = "1.15") -> Breakage:
    return Breakage(Path("notebooks/topic/slug.ipynb"), cells, {"kind": "error", "baseline": baseline}, ORDER)


BEFORE = program(2, "before", ok("3\n"), error("gone"), error("gone"), error("left"), ok("4\n"))
FIX = program(3, "fix", error("new"), ok("3\n"), ok("3\n"), ok("5\n"), ok("3\n"))


def test_the_prepared_copy_has_text_and_programs_alone() -> None:
    copy = json.loads(prepared(breakage(text("a <b> c"), BEFORE)))
    assert copy["metadata"] == {"kernelspec": {"display_name": "Python", "language": "python", "name": "python3"}}
    assert [cell["source"] for cell in copy["cells"]] == [f"a {GUARD}b> c", "program 2"]
    assert copy["cells"][1]["outputs"] == []
    assert all(cell["metadata"] == {} for cell in copy["cells"])


def test_put_leaves_an_equal_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    put(path, "one")
    before = path.stat().st_mtime_ns
    put(path, "one")
    assert path.stat().st_mtime_ns == before
    put(path, "two")
    assert path.read_text() == "two"
    assert [each.name for each in path.parent.iterdir()] == ["file"]


def rendered(*bodies: str) -> str:
    """A page as mkdocs-jupyter makes it, as far as it matters; a body with a highlight is a code cell's."""
    cells = [body if "highlight-ipynb" in body else f'<div class="jp-RenderedMarkdown">{body}</div>' for body in bodies]
    return f"<style>{'x' * 1000}</style><script>far()</script><div>In [1]:{''.join(cells)}</div>"


HIGHLIGHTED = '<div class="highlight-ipynb"><pre><span></span><span class="n">program</span> <span class="mi">2</span>\n</pre></div>'


def test_extract_keeps_cells_and_nothing_else() -> None:
    html = rendered("<h1>A — b</h1><p>First.</p>", HIGHLIGHTED, "<h2>Why</h2><p onclick='x'>Text</p><blink>too</blink>")
    found = extract(html, [text("# A — b"), BEFORE, text("", 3)], str, "slug")
    assert found.title == "A — b"
    assert found.title_parts == ("A", " — ", "b")
    assert found.summary == "First."
    assert found.cells == (
        "<p>First.</p>",
        '<div class="highlight"><pre><code>program 2</code></pre></div>',
        '<h2 id="why">Why<a class="headerlink" href="#why">¶</a></h2><p>Text</p>too',
    )
    assert [(each.title, each.id, each.level) for each in found.headings] == [("Why", "why", 2)]


def test_extract_refuses_a_page_it_does_not_know() -> None:
    with pytest.raises(ExtractError, match="the notebook has"):
        extract(rendered("<p>one</p>"), [text("one"), BEFORE], str, "slug")


def test_headings_get_anchors_of_their_own_and_one_h1() -> None:
    html = rendered("<h1>A — b</h1><h2>Fix</h2><h3>Fix</h3><h1>Second</h1>")
    found = extract(html, [text("")], str, "fix")
    assert [(each.id, each.level, [child.id for child in each.children]) for each in found.headings] == [
        ("fix-2", 2, ["fix-3"]),
        ("second", 2, []),
    ]
    assert "<h1" not in found.cells[0]


def test_links_are_resolved_or_lose_the_link() -> None:
    html = rendered('<p><a href="x.ipynb" title="t" rel="r">one</a> <a href="nope">two</a></p>')
    found = extract(html, [text("")], {"x.ipynb": "../x/", "nope": None}.__getitem__, "slug")
    assert found.cells == ('<p><a href="../x/" title="t">one</a> two</p>',)


def test_guarded_text_comes_back_as_text() -> None:
    html = rendered(
        f"<h1><code>{GUARD}a></code> — {GUARD}b</h1><p>{GUARD}i&gt;</p>"
        f'<div class="highlight"><pre><span></span>1 <span class="err">{GUARD}</span> 2</pre></div>'
    )
    found = extract(html, [text("")], str, "slug")
    assert found.title == "<a> — <b"
    assert found.title_parts == ("<code>&lt;a&gt;</code>", " — ", "&lt;b")
    assert found.cells[0].startswith("<p>&lt;i&gt;</p>")
    assert "<code>1 &lt; 2</code>" in found.cells[0]


def test_a_dash_within_an_element_does_not_split_the_title() -> None:
    found = extract(rendered("<h1><code>a — b</code></h1>"), [text("")], str, "slug")
    assert found.title_parts == ("<code>a — b</code>", "", "")


def test_a_program_that_pygments_changed_is_shown_plain() -> None:
    element = BeautifulSoup("<div><pre>other</pre></div>", "html.parser").div
    assert element is not None
    assert code(element, "\n\na < b") == '<div class="highlight"><pre><code>\n\na &lt; b</code></pre></div>'


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("What breaks", "what-breaks"),
        ("What-breaks", "what-breaks"),
        ("Fix: `tf.x()`, 2.0 – 2.5", "fix-tfx-20-25"),
        ("—", ""),
    ],
)
def test_slug(heading: str, anchor: str) -> None:
    assert slug(heading) == anchor


def test_a_programs_strip() -> None:
    strip = strips.of_program(breakage(text(""), BEFORE, FIX), FIX, lambda pin: "#same")
    shown = [([square.pin for square in run.squares], run.classes, run.label) for run in strip.runs]
    assert shown == [
        (["1.15"], "tfb-broken", "1.15 breaks"),
        (["2.0", "2.1"], "tfb-equivalent", "2.0 – 2.1 same output"),
        (["2.6"], "tfb-differs", "2.6 other output"),
        (["2.16"], "tfb-equivalent", "2.16 same output"),
    ]
    assert strip.words == "breaks: 1.15; same output: 2.0 – 2.1, 2.16; other output: 2.6"
    squares = [square for run in strip.runs for square in run.squares]
    assert [square.pin for square in squares if square.last] == ["1.15", "2.1", "2.6"]
    assert [square.era for square in squares if square.era] == ["TF 1", "TF 2", "Keras apart", "Keras 3"]


def test_a_pages_strip() -> None:
    this = breakage(text(""), BEFORE, FIX)
    assert strips.page_states(this) == {
        "1.15": "ok",
        "2.0": "solved",
        "2.1": "solved",
        "2.6": "unsolved",
        "2.16": "solved",
    }
    strip = strips.of_page(this, lambda pin: f"#{pin}")
    assert [run.classes for run in strip.runs] == [
        "tfb-ok",
        "tfb-broken tfb-solved",
        "tfb-broken tfb-solved",
        "tfb-broken tfb-unsolved",
        "tfb-differs tfb-solved",
    ]


def test_pins_that_did_the_same_share_a_row_and_warnings_become_notes() -> None:
    def warned(line: int, message: str = "old") -> Outcome:
        return ok("3\n", warnings=[{"category": "W", "message": f"From <site>/a.py:{line}: {message}"}])

    cell = program(2, "before", warned(1), warned(7), warned(7, "older"), error("gone"), ok("one\ntwo\n"))
    notes = page.Notes()
    rows = [row for _, row in page.rows(breakage(text(""), cell), cell, notes)]
    assert [(row.label, row.head, row.line) for row in rows] == [
        ("1.15 – 2.1", "3", None),
        ("2.6", "AttributeError: gone", 2),
        ("2.16", "one", None),
    ]
    assert rows[0].notes == ((1, "1–2"),)
    assert rows[0].parts == ()
    assert [part.text for part in rows[2].parts] == ["one\ntwo"]
    assert rows[2].open
    assert notes.told(ORDER) == [
        ("W", "1.15 – 2.0", "From <site>/a.py:…: old"),
        ("W", "2.1", "From <site>/a.py:…: older"),
    ]


def test_the_head_of_a_row_is_where_it_differs() -> None:
    outcomes = [ok("a\nb\nc\n"), ok("a\nx\nc\n"), error("gone"), ok("a\n")]
    assert page.heads(outcomes) == ["b", "x", "AttributeError: gone", "a"]


def test_an_outcomes_parts_are_whole_and_visible() -> None:
    outcome = {**ok("out\n"), "stderr": "\x1b[31merr", "result": "r"}
    assert [(part.label, part.text) for part in page.parts(outcome)] == [
        ("Printed", "out"),
        ("Value", "r"),
        ("On stderr", "\\x1b[31merr"),
    ]
    assert page.parts({"status": "timeout", "seconds": 60})[0].text == "timeout: stopped after 60 s"


def test_terminal_styles_are_dropped_and_other_control_characters_shown() -> None:
    cell = program(2, "before", ok("\x1b[1mbold\x1b[0m \x1b[2J\n"), *[error("\x1b[31mred")] * 4)
    this = breakage(text(""), cell)
    rows = [row for _, row in page.rows(this, cell, page.Notes())]
    assert [row.head for row in rows] == ["bold \\x1b[2J", "AttributeError: red"]
    assert page.messages(this)[0][0].text == "AttributeError: red"


def test_an_overlong_text_says_what_it_lacks() -> None:
    clipped = page.clipped("x" * (page.LONGEST + 5))
    assert "… 5 characters left out; the notebook has them …" in clipped
    assert len(clipped) < page.LONGEST + 100


def test_messages_begin_with_the_newest_release() -> None:
    now, before = page.messages(breakage(text(""), BEFORE, FIX))
    assert [(each.label, each.text) for each in now] == [("2.6", "AttributeError: left")]
    assert [(each.label, each.text) for each in before] == [("2.0 – 2.1", "AttributeError: gone")]


def test_facts() -> None:
    assert page.facts(breakage(text(""), BEFORE)) == ["Since TensorFlow 2.0", "still so in 2.16", "raises an error"]
    assert page.facts(breakage(text(""), BEFORE, baseline="<1.15"))[0] == "Gone before TensorFlow 1.15"


def test_a_line_of_markdown_as_html_and_as_text() -> None:
    assert corpus.code("`a<b` — <i>") == "<code>a&lt;b</code> — &lt;i&gt;"
    assert corpus.plain("`a<b` — <i>") == "a<b — <i>"


def test_places_are_filled_and_unknown_ones_refused() -> None:
    found = corpus.Corpus((), (breakage(text(""), BEFORE),))
    assert lists.fill("x <!-- tfb:count-outcomes --> y", found, lambda each: each.id) == "x 5 y"
    with pytest.raises(KeyError, match="nope"):
        lists.fill("<!-- tfb:nope -->", found, lambda each: each.id)
