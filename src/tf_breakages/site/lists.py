"""What the hand-written pages hold of the data: a comment `<!-- tfb:NAME -->` becomes the part of that name.

A part may take a word more: `<!-- tfb:release 2.16 -->`.
"""

import re
from collections.abc import Callable

from tf_breakages import usage
from tf_breakages.breakage import Breakage
from tf_breakages.site import strips
from tf_breakages.site.corpus import Corpus, code, topic_title, topics
from tf_breakages.site.heatmap import heatmap
from tf_breakages.site.templating import render
from tf_breakages.site.upgrade import planner, release

PLACE = re.compile(r"<!--\s*tfb:([\w-]+)(?: ([\w.]+))?\s*-->")
COMMONEST = 12
"""Breakages that the home page names."""

Url = Callable[[Breakage], str]


def fill(html: str, corpus: Corpus, url: Url) -> str:
    """Put the parts in their places. Raises KeyError for a part that does not exist."""
    return PLACE.sub(lambda place: PARTS[place[1]](corpus, url, place[2] or ""), html)


def index(corpus: Corpus, url: Url, _: str) -> str:
    return render(
        "index.html",
        breakages=corpus.breakages,
        topics=topics(corpus.breakages),
        pins=corpus.pins,
        sites=corpus.call_sites,
        url=url,
        strips={each.id: strips.of_page(each, lambda _: "") for each in corpus.breakages},
        code=code,
        topic_title=topic_title,
    )


def common(corpus: Corpus, url: Url, _: str) -> str:
    ranked = sorted(corpus.breakages, key=lambda each: -corpus.call_sites[each.id])[:COMMONEST]
    return render("common.html", common=[(each, corpus.call_sites[each.id]) for each in ranked], url=url, code=code)


def releases(corpus: Corpus, url: Url, _: str) -> str:
    arriving = {pin.name: sum(each.since == pin.name for each in corpus.breakages) for pin in corpus.pins}
    return render("releases.html", pins=corpus.pins, arriving=arriving)


def usage_share(corpus: Corpus, url: Url, _: str) -> str:
    return render("usage.html", shares=usage.shares(corpus.breakages))


def counts(corpus: Corpus) -> dict[str, int]:
    programs = [cell for each in corpus.breakages for cell in each.programs]
    return {
        "count-breakages": len(corpus.breakages),
        "count-programs": len(programs),
        "count-pins": len(corpus.pins),
        "count-outcomes": sum(len(cell.reading) for cell in programs),
    }


def _count(name: str) -> Callable[[Corpus, Url, str], str]:
    return lambda corpus, _, __: f"{counts(corpus)[name]:,}"


PARTS: dict[str, Callable[[Corpus, Url, str], str]] = {
    "index": index,
    "common": common,
    "heatmap": heatmap,
    "releases": releases,
    "release": release,
    "planner": planner,
    "usage-share": usage_share,
    **{name: _count(name) for name in ("count-breakages", "count-programs", "count-pins", "count-outcomes")},
}
