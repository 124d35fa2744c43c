"""What meets someone who upgrades: a page for each release, and the planner for the way between any two."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from tf_breakages.breakage import Breakage, Cell
from tf_breakages.site.corpus import Corpus, code
from tf_breakages.site.templating import render
from tf_breakages.site.verdict import Verdict, advice, arrivals, section, verdicts

ROLE = re.compile(r"^(Fix|Trap): ")

Url = Callable[[Breakage], str]


def release(corpus: Corpus, url: Url, name: str) -> str:
    """What breaks on arriving at a release from the one before it, the commonest first."""
    pin = next(each for each in corpus.pins if each.name == name)
    left = next((older for older, newer in pairwise(corpus.pins) if newer is pin), None)
    found = list(arrivals(corpus.breakages, left.name, name)) if left else []
    found.sort(key=lambda each: -corpus.call_sites[each.breakage.id])
    return render(
        "release.html",
        pin=pin,
        left=left,
        new=[each for each in found if each.new],
        lost=[each for each in found if each.lost and not each.new],
        url=url,
        code=code,
        named=named,
        take=lambda each: take(each.breakage, each.verdict, url),
    )


def planner(corpus: Corpus, url: Url, _: str) -> str:
    """What breaks after the oldest release, by the release that breaks it first; a script leaves what is asked for.

    It is told by masks: a hexadecimal number of which bit n is the nth release.
    """
    ranked = sorted(corpus.breakages, key=lambda each: -corpus.call_sites[each.id])
    steps = [(pin, [each for each in ranked if each.since == pin.name]) for pin in corpus.pins]
    return render(
        "upgrade.html",
        pins=corpus.pins,
        steps=steps[1:],
        lost=[(each, fixes) for each in ranked if (fixes := passing(each))],
        broken=lambda each: " ".join(mask(each, each.broken(cell)) for cell in each.programs if cell.role == "before"),
        verdicts=lambda each: [verdict for verdict in verdicts(each) if verdict.state != "ok"],
        sites=corpus.call_sites,
        url=url,
        code=code,
        take=lambda breakage, verdict: take(breakage, verdict, url),
    )


@dataclass(frozen=True)
class Passing:
    """A fix, or advice, that is a way out on some release and none on a later one, where its program still breaks."""

    cell: Cell
    name: Markup
    works: str
    fails: str
    """Masks of the releases on which it is a way out, and on which its program breaks and it is none."""


def passing(breakage: Breakage) -> list[Passing]:
    made = []
    for before in (cell for cell in breakage.programs if cell.role == "before"):
        broken = breakage.broken(before)
        for fix in advice(breakage, before):
            works = [pin for pin in breakage.order if breakage.solves(fix, pin)]
            fails = [pin for pin in broken if pin not in works]
            if works and fails and breakage.order.index(fails[-1]) > breakage.order.index(works[0]):
                made.append(Passing(fix, named(breakage, fix), mask(breakage, works), mask(breakage, fails)))
    return made


def mask(breakage: Breakage, pins: Sequence[str]) -> str:
    return f"{sum(1 << breakage.order.index(pin) for pin in pins):x}"


def take(breakage: Breakage, verdict: Verdict, url: Url) -> Markup:
    """The fixes of a verdict as links, or that there is none."""
    if verdict.state == "unsolved":
        return Markup('<small class="tfb-unsolved">no fix works there</small>')
    by_name = {named(breakage, cell): cell for cell in reversed(verdict.fixes)}  # programs may share a kind of fix
    links = [
        Markup('<a href="{}#C{}">{}</a>').format(url(breakage), cell.number, name)
        for name, cell in reversed(by_name.items())
    ]
    rest = [f"{verdict.more} more"] if verdict.more else []
    return Markup('<small class="tfb-solved">{}</small>').format(Markup("; ").join([*links, *rest]))


def named(breakage: Breakage, cell: Cell) -> Markup:
    """A fix by the heading it stands below."""
    return code(ROLE.sub("", section(breakage, cell)) or "the fix")
