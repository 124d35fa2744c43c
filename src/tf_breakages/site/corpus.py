"""All that the site tells, and how it is named."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from markupsafe import Markup, escape

from tf_breakages import usage
from tf_breakages.breakage import Breakage
from tf_breakages.pins import Pin

TITLES = {"rnn": "RNN", "gone": "Gone before 1.15"}
"""Topics whose title is not their name."""


@dataclass(frozen=True)
class Corpus:
    """The pins, and the breakages by topic and slug."""

    pins: tuple[Pin, ...]
    breakages: tuple[Breakage, ...]

    @cached_property
    def call_sites(self) -> dict[str, int]:
        """How common each breakage is: the call sites of the usage survey that it answers."""
        return {each.id: usage.call_sites(each) for each in self.breakages}

    def has_parts(self, breakage: Breakage) -> bool:
        """Whether another page is about a part of its API: `tf.contrib` has `tf.contrib.layers`."""
        below = f"{plain(breakage.api)}."
        return any(plain(each.api).startswith(below) for each in self.breakages)


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
    return TITLES.get(topic, topic.replace("-", " ").capitalize())


def topics(found: Sequence[Breakage]) -> list[str]:
    return list(dict.fromkeys(each.topic for each in found))
