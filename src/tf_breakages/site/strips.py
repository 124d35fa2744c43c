"""The strip: one small square per pin, read by its sign before its colour, with the same said in words."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

from tf_breakages import matrix
from tf_breakages.breakage import Breakage, Cell

ERAS = {"1.15": "TF 1", "2.0": "TF 2", "2.6": "Keras apart", "2.11": "New optimizers", "2.16": "Keras 3"}
"""The pins with which an era begins, and its name where a strip has room for one."""

WORDS = {
    "ok": "works",
    "equivalent": "same output",
    "differs": "other output",
    "broken": "breaks",
    "unknown": "not run",
}
"""How a program did, by `Breakage.state`. The style sheet has a sign and two colours for each."""

FIXED = {"solved": "a fix works", "unsolved": "no fix works"}
"""What a page's strip adds where the page's program is broken; its squares have a second half there."""


@dataclass(frozen=True)
class Square:
    """One pin in a strip; `href` leads to the evidence."""

    pin: str
    states: tuple[str, ...]
    words: str
    href: str
    era: str = ""
    """The name of the era that begins with this pin."""
    last: bool = False
    """Whether the next pin begins another era."""


@dataclass(frozen=True)
class Run:
    """Neighbouring squares that share all but the pin, and so a link."""

    squares: tuple[Square, ...]
    classes: str
    label: str
    href: str


@dataclass(frozen=True)
class Told:
    """One state of a strip as text, and the pins it holds on."""

    classes: str
    words: str
    pins: str


@dataclass(frozen=True)
class Strip:
    runs: tuple[Run, ...]
    told: tuple[Told, ...]

    @property
    def words(self) -> str:
        return "; ".join(f"{each.words}: {each.pins}" for each in self.told)


def classes(states: Iterable[str]) -> str:
    return " ".join(f"tfb-{state}" for state in states)


def of_program(breakage: Breakage, cell: Cell, href: Callable[[str], str]) -> Strip:
    """How one program did; `href` gives the evidence on a pin."""
    states = {pin: breakage.state(cell, pin) for pin in breakage.order}
    return _strip([Square(pin, (state,), WORDS[state], href(pin)) for pin, state in states.items()])


def of_page(breakage: Breakage, href: Callable[[str], str]) -> Strip:
    """Where a breakage is one: above, the code as people wrote it; below it, where that is broken, the best fix."""
    return _strip([_of_page(breakage, pin, state, href(pin)) for pin, state in page_states(breakage).items()])


def page_states(breakage: Breakage) -> dict[str, str]:
    """Each pin: `ok`, or broken and `solved` or `unsolved`; solved means that every broken program there has a fix."""
    befores = [cell for cell in breakage.programs if cell.role == "before"]
    unsolved = {pin for before in befores for pin in breakage.unsolved(before)}
    broken = set(breakage.broken_pins)
    return {pin: "ok" if pin not in broken else "unsolved" if pin in unsolved else "solved" for pin in breakage.order}


def _of_page(breakage: Breakage, pin: str, state: str, href: str) -> Square:
    if state == "ok":
        return Square(pin, (state,), WORDS[state], href)
    befores = [cell for cell in breakage.programs if cell.role == "before" and pin in breakage.broken(cell)]
    how = "broken" if any(breakage.state(cell, pin) == "broken" for cell in befores) else "differs"
    return Square(pin, (how, state), f"{WORDS[how]}, {FIXED[state]}", href)


def _strip(squares: Sequence[Square]) -> Strip:
    order = [square.pin for square in squares]
    told = []
    for states, words in dict.fromkeys((square.states, square.words) for square in squares):
        pins = [square.pin for square in squares if square.states == states]
        told.append(Told(classes(states), words, matrix.label(pins, order)))
    follower = dict(pairwise(order))
    placed = [replace(each, era=ERAS.get(each.pin, ""), last=follower.get(each.pin) in ERAS) for each in squares]
    return Strip(tuple(_runs(placed, order)), tuple(told))


def _runs(squares: Sequence[Square], order: Sequence[str]) -> Iterable[Run]:
    for (states, words, href), same in groupby(squares, key=lambda square: (square.states, square.words, square.href)):
        members = tuple(same)
        yield Run(members, classes(states), f"{matrix.label([each.pin for each in members], order)} {words}", href)
