"""The picture of the whole: a column for each breakage, a row for each release."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby

from tf_breakages import matrix
from tf_breakages.breakage import Breakage
from tf_breakages.site import strips
from tf_breakages.site.corpus import Corpus, plain, topics
from tf_breakages.site.templating import render

CELL, LEFT, TOP, GAP = 9, 26, 2, 4
"""Units of the picture: a cell's side, the margins, and what parts two topics."""

STATES = {"ok": "works", "solved": "breaks, a fix works", "unsolved": "breaks, some program has no fix"}


@dataclass(frozen=True)
class Run:
    """One state of one breakage on neighbouring releases."""

    x: int
    y: int
    height: int
    state: str
    title: str
    href: str


def heatmap(corpus: Corpus, url: Callable[[Breakage], str], _: str) -> str:
    """The SVG and its key. Each run of cells leads to the page, set to the oldest release of the run."""
    runs: list[Run] = []
    x = LEFT
    for number, topic in enumerate(topics(corpus.breakages)):
        x += GAP if number else 0
        for breakage in (each for each in corpus.breakages if each.topic == topic):
            runs += column(breakage, x, url(breakage))
            x += CELL
    height = TOP + CELL * len(corpus.pins) + 1
    key = {state: words for state, words in STATES.items() if any(run.state == state for run in runs)}
    return render(
        "heatmap.html", pins=corpus.pins, runs=runs, key=key, width=x, height=height, left=LEFT, top=TOP, cell=CELL
    )


def column(breakage: Breakage, x: int, href: str) -> list[Run]:
    states = strips.page_states(breakage)
    made = []
    for state, same in groupby(breakage.order, key=lambda pin: states[pin]):
        pins = list(same)
        title = f"{plain(breakage.api)}, {matrix.label(pins, breakage.order)}: {STATES[state]}"
        y = TOP + CELL * breakage.order.index(pins[0])
        made.append(Run(x, y, CELL * len(pins) - 1, state, title, f"{href}?tf={pins[-1]}"))
    return made
