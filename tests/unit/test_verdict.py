"""What a breakage means on one release, and what is lost on the way to it."""

from pathlib import Path

from tf_breakages.breakage import Breakage, Cell
from tf_breakages.matrix import Outcome
from tf_breakages.site.machine import fenced, markdown
from tf_breakages.site.verdict import SHOWN, arrivals, section, verdicts

ORDER = ("1.15", "2.0", "2.6", "2.16")
OK: Outcome = {"status": "ok", "stdout": "3\n", "stderr": "", "result": None, "warnings": []}
GONE: Outcome = {**OK, "stdout": "", "status": "error", "error": {"type": "E", "message": "gone", "line": 1}}


def program(number: int, role: str, works: str) -> Cell:
    """A program that prints 3 on the releases of which `works` has a `y`."""
    outcomes = [OK if each == "y" else GONE for each in works]
    reading = {(None, pin): outcome for pin, outcome in zip(ORDER, outcomes, strict=True)}
    return Cell(number, "code", f"program {number}", frozenset({role}), reading)


def text(number: int, source: str) -> Cell:
    return Cell(number, "markdown", source, frozenset())


def breakage(*cells: Cell) -> Breakage:
    return Breakage(Path("notebooks/topic/slug.ipynb"), cells, {"kind": "error", "baseline": "1.15"}, ORDER)


def test_a_verdict_names_the_first_fix_that_works_there() -> None:
    this = breakage(program(1, "before", "ynnn"), program(2, "fix", "yyyn"), program(3, "fix", "nyny"))
    assert [(each.label, each.state, [fix.number for fix in each.fixes]) for each in verdicts(this)] == [
        ("1.15", "ok", []),
        ("2.0 – 2.6", "solved", [2]),
        ("2.16", "solved", [3]),
    ]


def test_a_verdict_says_what_has_no_fix() -> None:
    first, second = program(1, "before", "ynnn"), program(3, "before", "ynnn")
    this = breakage(first, program(2, "fix", "nyyn"), second, program(4, "fix", "nynn"))
    assert [(each.label, each.state) for each in verdicts(this)] == [
        ("1.15", "ok"),
        ("2.0", "solved"),
        ("2.6", "part"),
        ("2.16", "unsolved"),
    ]


def test_a_verdict_names_only_so_many() -> None:
    cells = []
    for number in range(SHOWN + 2):
        cells += [program(2 * number + 1, "before", "ynnn"), program(2 * number + 2, "fix", "yyyy")]
    last = verdicts(breakage(*cells))[-1]
    assert len(last.fixes) == SHOWN
    assert last.more == 2


def test_an_arrival_tells_what_breaks_and_which_fix_is_lost() -> None:
    broken_at_once = breakage(program(1, "before", "ynnn"), program(2, "fix", "yyyn"), program(3, "fix", "yyyy"))
    broken_late = breakage(program(1, "before", "yyyn"), program(2, "fix", "yyyy"))
    never_mended = breakage(program(1, "before", "ynnn"), program(2, "fix", "yyyy"))
    found = list(arrivals([broken_at_once, broken_late, never_mended], "2.6", "2.16"))
    assert [(each.breakage is broken_at_once, each.new, [fix.number for fix in each.lost]) for each in found] == [
        (True, False, [2]),
        (False, True, []),
    ]
    assert [fix.number for fix in found[0].verdict.fixes] == [3]


def test_a_program_stands_in_the_section_above_it() -> None:
    first, second = program(2, "before", "ynnn"), program(4, "fix", "yyyy")
    this = breakage(text(1, "# A\n\n## What breaks"), first, text(3, "## Fix: `b`\n\nText."), second)
    assert section(this, first) == "What breaks"
    assert section(this, second) == "Fix: `b`"
    assert section(breakage(first), first) == ""


def test_markdown_has_programs_and_their_tables() -> None:
    made = markdown(breakage(text(1, "# A — b"), program(2, "before", "ynnn")))
    assert made.startswith("# A — b\n\n```python\nprogram 2\n```\n\n```text\n1.15 ")
    assert "2.0 – 2.16     E: gone" in made


def test_a_fence_is_longer_than_what_it_holds() -> None:
    assert fenced("a\n```\nb", "text") == "````text\na\n```\nb\n````"
