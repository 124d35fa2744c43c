"""What the hand-written pages hold of the data: a comment `<!-- tfb:NAME -->` becomes the part of that name."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from markupsafe import Markup, escape

from tf_breakages import usage
from tf_breakages.breakage import Breakage
from tf_breakages.pins import Pin
from tf_breakages.site import strips
from tf_breakages.site.templating import render

PLACE = re.compile(r"<!--\s*tfb:([\w-]+)\s*-->")


@dataclass(frozen=True)
class Corpus:
    """All that the site tells: the pins, and the breakages by topic and slug."""

    pins: tuple[Pin, ...]
    breakages: tuple[Breakage, ...]


def fill(html: str, corpus: Corpus, url: Callable[[Breakage], str]) -> str:
    """Put the parts in their places. Raises KeyError for a part that does not exist."""
    return PLACE.sub(lambda place: PARTS[place[1]](corpus, url), html)


def breakages(corpus: Corpus, url: Callable[[Breakage], str]) -> str:
    topics = [(topic, list(members)) for topic, members in groupby(corpus.breakages, key=lambda each: each.topic)]
    states = {each.id: strips.of_page(each, lambda _: "") for each in corpus.breakages}
    return render("breakages.html", topics=topics, url=url, strips=states, code=code, topic_title=topic_title)


def releases(corpus: Corpus, url: Callable[[Breakage], str]) -> str:
    arriving = {pin.name: [each for each in corpus.breakages if each.since == pin.name] for pin in corpus.pins}
    return render("releases.html", pins=corpus.pins, arriving=arriving, url=url, code=code)


def usage_share(corpus: Corpus, url: Callable[[Breakage], str]) -> str:
    return render("usage.html", shares=usage.shares(corpus.breakages))


def counts(corpus: Corpus) -> dict[str, int]:
    programs = [cell for each in corpus.breakages for cell in each.programs]
    return {
        "count-breakages": len(corpus.breakages),
        "count-programs": len(programs),
        "count-pins": len(corpus.pins),
        "count-outcomes": sum(len(cell.reading) for cell in programs),
    }


def _count(name: str) -> Callable[[Corpus, Callable[[Breakage], str]], str]:
    return lambda corpus, _: f"{counts(corpus)[name]:,}"


PARTS: dict[str, Callable[[Corpus, Callable[[Breakage], str]], str]] = {
    "breakages": breakages,
    "releases": releases,
    "usage-share": usage_share,
    **{name: _count(name) for name in ("count-breakages", "count-programs", "count-pins", "count-outcomes")},
}


def code(markdown: str) -> Markup:
    """A line of Markdown that has nothing but `code` in it, as HTML."""
    pieces = markdown.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(text) if number % 2 else escape(text) for number, text in enumerate(pieces)
    )


def plain(markdown: str) -> str:
    """The same line as text."""
    return markdown.replace("`", "")


def topic_title(topic: str) -> str:
    return topic.replace("-", " ").capitalize()


def topics(found: Sequence[Breakage]) -> list[str]:
    return list(dict.fromkeys(each.topic for each in found))
