"""Grouping, cutting, labels and the text table."""

import pytest

from tf_breakages import matrix
from tf_breakages.matrix import Outcome, Reading

ORDER = ["1.15", "2.0", "2.1", "2.2", "2.3"]


def ok(text: str) -> Outcome:
    return {"status": "ok", "stdout": text, "stderr": "", "result": None, "warnings": []}


def reading(*texts: str) -> Reading:
    return {(None, pin): ok(text) for pin, text in zip(ORDER, texts, strict=False)}


def test_consecutive_equal_outcomes_are_one_group() -> None:
    grouped = matrix.group(reading("a", "b", "b", "a", "a"), ORDER)
    assert [each["pins"] for each in grouped["groups"]] == [["1.15"], ["2.0", "2.1"], ["2.2", "2.3"]]


def test_reading_and_grouping_are_inverse() -> None:
    original = reading("a", "b", "b", "a", "c")
    assert matrix.read(matrix.group(original, ORDER)) == original


def test_consecutive_means_among_the_pins_run() -> None:
    part = matrix.cut(reading("a", "b", "b", "a", "a"), ["1.15", "2.2"])
    grouped = matrix.group(part, ORDER)
    assert [each["pins"] for each in grouped["groups"]] == [["1.15", "2.2"]]
    assert matrix.render(grouped, ORDER).split("  ")[0] == "1.15, 2.2"


@pytest.mark.parametrize(
    ("pins", "expected"),
    [
        (["2.0", "2.1"], "2.0 – 2.1"),
        (["2.0", "2.1", "2.2"], "2.0 – 2.2"),
        (["1.15", "2.1"], "1.15, 2.1"),
        (["1.15", "2.1", "2.2"], "1.15, 2.1 – 2.2"),
        (["2.3"], "2.3"),
    ],
)
def test_a_range_never_spans_a_pin_that_was_not_run(pins: list[str], expected: str) -> None:
    assert matrix.label(pins, ORDER) == expected


def test_several_writers_give_a_group_each() -> None:
    pair: Reading = {(writer, pin): ok("same") for writer in ("1.15", "2.0") for pin in ("2.1", "2.2")}
    grouped = matrix.group(pair, ORDER)
    assert [(each["from"], each["pins"]) for each in grouped["groups"]] == [
        ("1.15", ["2.1", "2.2"]),
        ("2.0", ["2.1", "2.2"]),
    ]
    assert matrix.read(grouped) == pair
    assert matrix.render(grouped, ORDER).splitlines()[0].startswith("1.15 → 2.1 – 2.2")


def test_the_table_shows_all_there_is() -> None:
    outcome = {
        "status": "error",
        "stdout": "one\n",
        "stderr": "two\n",
        "result": None,
        "warnings": [{"category": "FutureWarning", "message": "three"}],
        "error": {"type": "KeyError", "message": "'four'\nfive", "line": 1},
    }
    table = matrix.render(matrix.group({(None, "2.0"): outcome}, ORDER), ORDER)
    assert table.splitlines() == [
        "2.0            one",
        "               stderr: two",
        "               warning: FutureWarning: three",
        "               KeyError: 'four'",
        "               five",
    ]


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        ({"status": "timeout", "seconds": 60}, "timeout: stopped after 60 s"),
        ({"status": "crash", "stdout": "", "stderr": "", "signal": "SIGSEGV"}, "crash: SIGSEGV"),
        ({"status": "crash", "stdout": "", "stderr": "", "exit": 3}, "crash: exit status 3"),
        ({"status": "crash", "stdout": "", "stderr": "", "limit": "memory"}, "crash: stopped at the limit of memory"),
        (ok(""), "ok"),
        ({**ok(""), "result": "\x1b[2Jgone\u202e"}, "\\x1b[2Jgone\\u202e"),
    ],
)
def test_every_status_has_a_line(outcome: Outcome, says: str) -> None:
    assert matrix.summary(outcome) == [says]


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"version": 2, "groups": []},
        {"version": 1, "groups": [{"pins": ["2.0"], "status": "ok"}]},
        {"version": 1, "groups": [{"pins": [], **ok("")}]},
        {"version": 1, "groups": [{"pins": ["2.0"], **ok(""), "error": None}]},
        {"version": 1, "groups": [{"pins": ["2.0"], **ok(""), "status": "error"}]},
        {"version": 1, "groups": [{"pins": ["2.0"], "status": "crash", "stdout": "", "stderr": ""}]},
        {"version": 1, "groups": [{"pins": ["2.0"], **ok("")}, {"pins": ["2.0"], **ok("")}]},
    ],
)
def test_a_malformed_matrix_is_refused(broken: matrix.Matrix) -> None:
    with pytest.raises(matrix.MatrixError):
        matrix.read(broken)
