"""What a breakage means to someone on one release: does it break there, and which fix to take."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from tf_breakages import matrix
from tf_breakages.breakage import Breakage, Cell

HEADING = re.compile(r"^##+ (.*)$", re.M)

SHOWN = 3
"""Fixes that a verdict names; a page with more programs than that says how many more it has."""


@dataclass(frozen=True)
class Verdict:
    """The same answer on neighbouring pins."""

    pins: tuple[str, ...]
    label: str
    state: str
    """`ok`, `solved`, `part` where some of the page's programs have no fix, or `unsolved`."""
    fixes: tuple[Cell, ...]
    """Of each program that breaks, the first fix that is a way out; none twice, at most SHOWN."""
    more: int
    """How many fixes are not named."""


def verdicts(breakage: Breakage) -> list[Verdict]:
    """The answers for all pins, oldest first; neighbours with one answer share it."""
    answers = {pin: answer(breakage, pin) for pin in breakage.order}
    made = []
    for (state, numbers), same in groupby(answers, key=lambda pin: answers[pin]):
        pins = tuple(same)
        fixes = tuple(cell for cell in breakage.programs if cell.number in numbers)
        label = matrix.label(pins, breakage.order)
        made.append(Verdict(pins, label, state, fixes[:SHOWN], max(0, len(fixes) - SHOWN)))
    return made


def answer(breakage: Breakage, pin: str) -> tuple[str, tuple[int, ...]]:
    """The state on a pin, and the cells of the fixes to take there."""
    broken = [cell for cell in breakage.programs if cell.role == "before" and pin in breakage.broken(cell)]
    if not broken:
        return "ok", ()
    chosen = [first_fix(breakage, before, pin) for before in broken]
    found = tuple(dict.fromkeys(cell.number for cell in chosen if cell))
    return ("solved" if all(chosen) else "part" if found else "unsolved"), found


def first_fix(breakage: Breakage, before: Cell, pin: str) -> Cell | None:
    """The fix of a program that we recommend on a pin: the first that is a way out there."""
    return next((fix for fix in breakage.answers(before, "fix") if breakage.solves(fix, pin)), None)


def advice(breakage: Breakage, before: Cell) -> list[Cell]:
    """What people may have put in a program's place: our fixes, and the popular advice that fails somewhere."""
    return [*breakage.answers(before, "fix"), *breakage.answers(before, "trap")]


@dataclass(frozen=True)
class Arrival:
    """What becomes of one breakage for someone who comes from one release to a later one."""

    breakage: Breakage
    verdict: Verdict
    """On the release arrived at."""
    lost: tuple[Cell, ...]
    """Fixes, and traps, that were a way out on the release left, and are none here."""
    new: bool
    """Whether some program works on the release left and is broken here."""


def arrivals(found: Sequence[Breakage], left: str, to: str) -> Iterator[Arrival]:
    """The breakages that concern someone who goes from the release `left` to the release `to`."""
    for breakage in found:
        befores = [cell for cell in breakage.programs if cell.role == "before" and to in breakage.broken(cell)]
        new = any(before.ok(left) and left not in breakage.broken(before) for before in befores)
        lost = tuple(
            fix
            for before in befores
            for fix in advice(breakage, before)
            if breakage.solves(fix, left) and not breakage.solves(fix, to)
        )
        if new or lost:
            verdict = next(each for each in verdicts(breakage) if to in each.pins)
            yield Arrival(breakage, verdict, lost, new)


def section(breakage: Breakage, cell: Cell) -> str:
    """The heading of the section a program stands in, as Markdown; empty where none stands above it."""
    for above in reversed([each for each in breakage.cells if each.number < cell.number and each.kind != "code"]):
        if found := HEADING.findall(above.source):
            return str(found[-1]).strip()
    return ""
