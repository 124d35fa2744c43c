"""Every rule of a notebook can fail: each is broken here, one at a time, in a notebook that otherwise holds."""

import json
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tf_breakages import breakage, matrix, notebook
from tf_breakages.pins import Pin

NAMES = ["1.15", "2.0", "2.1"]
PINS = tuple(Pin(name, f"tensorflow=={name}.0", "3.11", date(2020, 1, 1), "", True, (), (), 1) for name in NAMES)


def outcome(said: str) -> matrix.Outcome:
    common = {"stdout": "", "stderr": "", "result": None, "warnings": []}
    if said.startswith("!"):
        return {**common, "status": "error", "error": {"type": "AttributeError", "message": said[1:], "line": 1}}
    return {**common, "status": "ok", "stdout": said}


def code(tags: list[str], *said: str) -> dict[str, Any]:
    reading = {(None, name): outcome(text) for name, text in zip(NAMES, said, strict=False)}
    data = matrix.output(matrix.group(reading, NAMES), NAMES)
    result = {"output_type": "execute_result", "execution_count": 1, "data": data, "metadata": {}}
    return {
        "cell_type": "code",
        "source": "pass",
        "metadata": {"tags": tags},
        "execution_count": 1,
        "outputs": [result],
    }


def text(source: str, *tags: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "source": source, "metadata": {"tags": [*tags]}}


def write(tmp_path: Path, change: Callable[[list[dict[str, Any]], dict[str, Any]], None] | None = None) -> Path:
    cells = [
        text("# `tf.x` — module 'tensorflow' has no attribute 'x'\n\nIt was removed."),
        code(["before"], "3\n", "!gone", "!gone"),
        code(["fix"], "3\n", "3\n", "3\n"),
        code(["trap"], "3\n", "3\n", "!gone too"),
    ]
    about = {"topic": "topic", "kind": "error", "baseline": "1.15", "symbols": ["tf.x"], "related": []}
    if change:
        change(cells, about)
    for number, cell in enumerate(cells):
        cell["id"] = f"c{number}"
    path = tmp_path / "topic" / "slug.ipynb"
    path.parent.mkdir()
    metadata = {"kernelspec": notebook.KERNEL, "breakage": about}
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "cells": cells, "metadata": metadata}))
    return path


def test_a_notebook_that_holds_has_no_problem(tmp_path: Path) -> None:
    path = write(tmp_path)
    assert breakage.problems(path, PINS) == []
    found = breakage.of_notebook(path, PINS)
    assert (found.since, found.broken_pins) == ("2.0", ["2.0", "2.1"])
    assert found.messages == [("AttributeError: gone", ["2.0", "2.1"])]
    assert (found.api, found.message) == ("`tf.x`", "module 'tensorflow' has no attribute 'x'")
    _, before, fix, trap = found.cells
    assert [found.state(before, pin) for pin in NAMES] == ["ok", "broken", "broken"]
    assert [found.state(fix, pin) for pin in NAMES] == ["equivalent"] * 3
    assert [found.state(trap, pin) for pin in NAMES] == ["equivalent", "equivalent", "broken"]


def replaced(at: int, cell: dict[str, Any]) -> Callable[[list[dict[str, Any]], dict[str, Any]], None]:
    return lambda cells, about: cells.__setitem__(at, cell)


def appended(*more: dict[str, Any]) -> Callable[[list[dict[str, Any]], dict[str, Any]], None]:
    return lambda cells, about: cells.extend(more)


def meta(**changed: Any) -> Callable[[list[dict[str, Any]], dict[str, Any]], None]:
    return lambda cells, about: about.update(changed)


def unrun(cells: list[dict[str, Any]], about: dict[str, Any]) -> None:
    cells[2].update(outputs=[], execution_count=None)


def twice(cells: list[dict[str, Any]], about: dict[str, Any]) -> None:
    cells[2]["outputs"] *= 2


def retold(cells: list[dict[str, Any]], about: dict[str, Any]) -> None:
    cells[2]["outputs"][0]["data"]["text/plain"] += "!"


def moved(cells: list[dict[str, Any]], about: dict[str, Any]) -> None:
    groups = cells[1]["outputs"][0]["data"][matrix.MIME]["groups"]
    groups[0]["pins"].append(groups[1]["pins"].pop(0))


def commented(cells: list[dict[str, Any]], about: dict[str, Any]) -> None:
    cells[2]["source"] = "# NBVAL_IGNORE_OUTPUT\npass"


BROKEN = {
    "rule 1": (replaced(1, code(["before"], "!x", "!gone", "!gone")), "not ok on its baseline"),
    "rule 1, gone before all": (meta(baseline="<1.15"), "but it is ok on 1.15"),
    "rule 2": (replaced(1, code(["before"], "3\n", "3\n", "3\n")), "broken on no later pin"),
    "rule 3, not ok": (replaced(2, code(["fix"], "3\n", "3\n", "!gone")), "no fix is ok and equivalent on 2.1"),
    "rule 3, not equivalent": (replaced(2, code(["fix"], "3\n", "4\n", "3\n")), "no fix is ok and equivalent on 2.0"),
    "rule 3, needless no-fix": (appended(text("Nothing works on 2.1.", "no-fix")), "`no-fix` names 2.1"),
    "rule 3, no before": (lambda cells, about: cells.pop(1) and None, "has no `before` above it"),
    "rule 4": (replaced(2, code(["fix", "differs"], "3\n", "4\n", "4\n")), "no Markdown cell next to it"),
    "rule 5": (replaced(3, code(["trap"], "3\n", "3\n", "3\n")), "ok and equivalent on every pin"),
    "rule 6, un-run": (unrun, "was not recorded"),
    "rule 6, two outputs": (twice, "not one execute_result"),
    "rule 6, tag": (replaced(2, code(["fix", "raises-exception"], "3\n", "3\n", "3\n")), "raises-exception"),
    "rule 6, nbval's tag": (replaced(2, code(["fix", "nbval-skip"], "3\n", "3\n", "3\n")), "nbval-skip"),
    "rule 6, comment": (commented, "tells nbval to look away"),
    "a table that was edited": (retold, "its table or grouping"),
    "a pin that was moved": (moved, "no fix|broken|not ok|grouping"),
    "a pin that lacks": (replaced(2, code(["fix"], "3\n", "3\n")), "lacks \\['2.1'\\]"),
    "two roles": (replaced(2, code(["fix", "trap"], "3\n", "3\n", "!gone")), "more than one role"),
    "another topic": (meta(topic="other"), "metadata.breakage.topic"),
    "another kind": (meta(kind="strange"), "metadata.breakage.kind"),
    "no such relative": (meta(related=["a/b"]), "'a/b', which is no notebook"),
    "no title": (replaced(0, text("# tf.x\n\nIt was removed.")), "does not|is not Markdown that begins"),
    "no paragraph": (replaced(0, text("# `tf.x` — gone")), "no paragraph"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_every_rule_can_fail(name: str, tmp_path: Path) -> None:
    change, says = BROKEN[name]
    problems = breakage.problems(write(tmp_path, change), PINS)
    assert problems
    assert any(re.search(says, problem) for problem in problems), problems


def test_a_moved_pin_is_seen(tmp_path: Path) -> None:
    assert breakage.problems(write(tmp_path, moved), PINS)


def test_a_no_fix_cell_that_tells_the_truth(tmp_path: Path) -> None:
    def change(cells: list[dict[str, Any]], about: dict[str, Any]) -> None:
        cells[2] = code(["fix"], "3\n", "3\n", "!gone")
        cells.insert(3, text("Nothing restores this on 2.1: the class is gone.", "no-fix"))

    assert breakage.problems(write(tmp_path, change), PINS) == []


def test_a_fix_that_differs_and_says_so(tmp_path: Path) -> None:
    def change(cells: list[dict[str, Any]], about: dict[str, Any]) -> None:
        cells[2] = code(["fix", "differs"], "3\n", "3.0\n", "3.0\n")
        cells.insert(3, text("It prints a float, because …", "differs"))

    assert breakage.problems(write(tmp_path, change), PINS) == []


def test_ranges_of_pins_in_a_text() -> None:
    order = ["1.15", "2.0", "2.1", "2.2", "2.3"]
    assert breakage.named_pins("On 2.0 – 2.2 nothing works.", order) == ["2.0", "2.1", "2.2"]
    assert breakage.named_pins("On 1.15, 2.3 and 3.9", order) == ["1.15", "2.3"]
