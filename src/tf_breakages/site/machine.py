"""What programs read: `breakages.json`, a Markdown rendering of each page, and `llms.txt`, which lists those.

The JSON's schema is `docs/schemas/breakages.schema.json`, published beside it; an addition keeps the version, a change
that could break a reader raises it.
"""

import json
from collections.abc import Callable
from typing import Any

from tf_breakages import matrix
from tf_breakages.breakage import Breakage, Cell
from tf_breakages.site import strips
from tf_breakages.site.corpus import Corpus, plain, topic_title, topics

VERSION = 1


def breakages(corpus: Corpus, url: Callable[[Breakage], str]) -> str:
    """Every breakage and its programs, as JSON."""
    pins = [
        {"name": pin.name, "requirement": pin.requirement, "python": pin.python, "released": str(pin.released)}
        for pin in corpus.pins
    ]
    found = [entry(each, url(each), corpus.call_sites[each.id]) for each in corpus.breakages]
    return json.dumps({"version": VERSION, "pins": pins, "breakages": found}, ensure_ascii=False, indent=1) + "\n"


def entry(breakage: Breakage, url: str, sites: int) -> dict[str, Any]:
    """One breakage: what it is, where it is one, and each program with how it did on each release."""
    return {
        "id": breakage.id,
        "url": url,
        "api": plain(breakage.api),
        "message": plain(breakage.message),
        "summary": plain(breakage.summary),
        "kind": breakage.kind,
        "baseline": breakage.baseline,
        "since": breakage.since,
        "broken": breakage.broken_pins,
        "unsolved": [pin for pin, state in strips.page_states(breakage).items() if state == "unsolved"],
        "symbols": breakage.symbols,
        "call_sites": sites,
        "related": breakage.related,
        "messages": [{"message": text, "pins": pins} for text, pins in breakage.messages],
        "programs": [program(breakage, cell) for cell in breakage.programs],
    }


def program(breakage: Breakage, cell: Cell) -> dict[str, Any]:
    states: dict[str, list[str]] = {}
    for pin in breakage.order:
        states.setdefault(breakage.state(cell, pin), []).append(pin)
    before = breakage.before(cell)
    return {
        "cell": cell.number,
        "role": cell.role,
        "answers": before.number if before and cell.role in ("fix", "trap", "converter") else None,
        "source": cell.source,
        "states": states,
        "solves": [pin for pin in breakage.order if breakage.solves(cell, pin)] if cell.role == "fix" else [],
    }


def markdown(breakage: Breakage) -> str:
    """A page as Markdown: the notebook's text and programs, each program with the table of what the releases did."""
    parts = []
    for cell in breakage.cells:
        if cell.kind == "code":
            recorded = matrix.render(matrix.group(cell.reading, breakage.order), breakage.order)
            parts += [fenced(cell.source, "python"), fenced(recorded, "text")]
        else:
            parts.append(cell.source.strip())
    return "\n\n".join(parts) + "\n"


def fenced(text: str, language: str) -> str:
    """A code block; its fence is longer than any run of backticks in the text."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def llms(corpus: Corpus, url: Callable[[Breakage], str]) -> str:
    """The site for language models, in the form of llmstxt.org: a summary, then a link to each page's Markdown."""
    lines = [
        "# tf-breakages",
        "",
        "> Every way TensorFlow 1 code breaks on a newer TensorFlow: the message, the releases that show it, and fixes.",
        f"> Every program was executed on every minor release from {corpus.pins[0].name} to {corpus.pins[-1].name}.",
        "",
        "A table below a program says what each release did. `Fix` programs are in the order we recommend them, and a",
        "fix is only good for the releases on which its table shows what the old program printed on 1.15.",
        "",
        "- [All breakages as JSON](breakages.json), with its [schema](schemas/breakages.schema.json)",
    ]
    for topic in topics(corpus.breakages):
        members = [each for each in corpus.breakages if each.topic == topic]
        lines += ["", f"## {topic_title(topic)}", ""]
        lines += [f"- [{plain(each.api)}]({url(each)}): {plain(each.message)}" for each in members]
    return "\n".join(lines) + "\n"
