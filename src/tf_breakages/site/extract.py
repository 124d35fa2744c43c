"""What we keep of mkdocs-jupyter's HTML: the text of each Markdown cell and the highlighted source of each program.

It is taken out by a list of what may stay, so neither 574 KB of JupyterLab CSS, nor a CDN script, nor a prompt, nor what
a notebook smuggled in is ever there to be removed.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from bs4 import BeautifulSoup, Tag
from bs4.element import NavigableString
from mkdocs.structure.toc import AnchorLink

from tf_breakages.breakage import Cell
from tf_breakages.site.prepare import GUARD

CELLS = "div.jp-RenderedMarkdown, div.highlight-ipynb"
"""The one element of mkdocs-jupyter's page that holds a cell, for text and for code."""

KEPT = re.compile(
    "p|h[1-6]|[uo]l|li|d[ltd]|blockquote|hr|br|pre|code|strong|em|del|a|table|thead|tbody|tr|t[hd]|div|span"
)
"""Tags that Markdown makes. Of anything else only the text stays."""

ATTRIBUTES = {
    "a": ("href", "title"),
    "ol": ("start",),
    "th": ("style",),
    "td": ("style",),
    "div": ("class",),
    "span": ("class",),
}
"""The attributes that they keep."""

ALIGNED = re.compile(r"text-align:\s*(left|right|center);?")
HIGHLIGHT = re.compile(r"highlight|[a-z]{1,3}")
"""The classes that Pygments gives: its block, and its tokens."""

DASH = " — "
"""Between the API and the message of a title."""

DULL = re.compile(r'<span class="(?!(?:[kcs]\w?|n[cfd]|ow)")\w{1,3}">([^<]*)</span>')
"""Pygments' tokens that need no colour, which are most: all but keywords, comments, strings and names where they are defined."""

Resolve = Callable[[str], str | None]
"""What a link in a Markdown cell becomes; None where it leads nowhere, and then only its text stays."""


class ExtractError(ValueError):
    """mkdocs-jupyter's page has not the form we know: another version of it, most likely."""


@dataclass(frozen=True)
class Extract:
    """A rendered notebook: its title, and each cell's HTML in order (the first one's without the title)."""

    title: str
    summary: str
    """The first paragraph, as text."""
    title_parts: tuple[str, str, str]
    """The title's HTML: API, dash, message; the latter two empty where it has no dash."""
    cells: tuple[str, ...]
    headings: tuple[AnchorLink, ...]
    images: tuple[str, ...]
    """What of it is not shown: where its images are. A page asks nobody for anything, and has no place for them yet."""


def extract(page: str, cells: Sequence[Cell], resolve: Resolve, top: str) -> Extract:
    """Take the cells out of mkdocs-jupyter's page. `top` is the anchor of the title.

    Raises ExtractError where the page's cells are not the notebook's.
    """
    found = BeautifulSoup(DULL.sub(r"\1", page), "html.parser").select(CELLS)
    kinds = ["markdown" if "jp-RenderedMarkdown" in (each.get("class") or ()) else "code" for each in found]
    expected = ["code" if cell.kind == "code" else "markdown" for cell in cells]
    if kinds != expected:
        raise ExtractError(f"mkdocs-jupyter rendered the cells {kinds}, the notebook has {expected}")
    headings = Headings(top)
    title, summary, title_parts = "", "", ("", "", "")
    made = []
    images: list[str] = []
    for cell, element in zip(cells, found, strict=True):
        if cell.kind == "code":
            made.append(code(element, cell.source))
            continue
        images += [restored(str(image.get("src", ""))) for image in element.find_all("img")]
        clean(element, resolve)
        h1 = element.find("h1") if cell is cells[0] else None
        if isinstance(h1, Tag):
            title, title_parts = restored(h1.get_text()), split(h1)
            h1.decompose()
        if cell is cells[0] and (first := element.find("p")):
            summary = " ".join(restored(first.get_text()).split())
        headings.mark(element)
        made.append(inner(element))
    return Extract(title, summary, title_parts, tuple(made), tuple(headings.links), tuple(images))


def split(h1: Tag) -> tuple[str, str, str]:
    """The title's HTML in two at its dash, which no element of it may hold."""
    pieces = list(h1.contents)
    for number, child in enumerate(pieces):
        if isinstance(child, NavigableString) and DASH in child:
            before, _, after = child.partition(DASH)
            return html_of(*pieces[:number], before), DASH, html_of(after, *pieces[number + 1 :])
    return inner(h1), "", ""


def html_of(*pieces: object) -> str:
    made = [p.decode(formatter="minimal") if isinstance(p, Tag) else escape(str(p), quote=False) for p in pieces]
    return written("".join(made))


def restored(text: str) -> str:
    return text.replace(GUARD, "<")


def inner(element: Tag) -> str:
    return written(element.decode_contents(formatter="minimal").strip())


def written(html: str) -> str:
    """HTML with `<` back, as text."""
    return html.replace(GUARD, "&lt;")


def code(element: Tag, source: str) -> str:
    """A program in Material's own markup. What is copied from it is the text that ran: it is plain where Pygments changed it."""
    pre = element.find("pre")
    if isinstance(pre, Tag) and pre.get_text().rstrip("\n") == source.rstrip("\n"):
        html = pre.decode_contents(formatter="minimal").replace("<span></span>", "", 1).rstrip("\n")
    else:
        html = escape(source)
    return f'<div class="highlight"><pre><code>{html}</code></pre></div>'


def clean(element: Tag, resolve: Resolve) -> None:
    """Leave what Markdown makes, with links that lead somewhere; every other tag goes, its text stays."""
    for tag in element.find_all(True):
        if tag.decomposed:
            continue
        if tag.name == "a" and "anchor-link" in (tag.get("class") or ()):
            tag.decompose()
        elif tag.name == "img":
            tag.replace_with(NavigableString(str(tag.get("alt") or "")))
        elif not KEPT.fullmatch(tag.name):
            tag.unwrap()
        else:
            kept = ATTRIBUTES.get(tag.name, ())
            tag.attrs = {name: value for name, value in tag.attrs.items() if name in kept and allowed(name, value)}
            if tag.name == "a":
                link(tag, resolve)
            elif tag.name == "pre":
                block(tag)


def allowed(name: str, value: str | list[str]) -> bool:
    if name == "class":
        return all(HIGHLIGHT.fullmatch(each) for each in value)
    return name != "style" or ALIGNED.fullmatch(str(value)) is not None


def link(tag: Tag, resolve: Resolve) -> None:
    href = resolve(restored(str(tag.get("href", ""))))
    if href is None:
        tag.unwrap()
    else:
        tag["href"] = href


def block(pre: Tag) -> None:
    """Give a block of code in a text Material's markup, without a button: what one can copy are programs that ran."""
    for each in pre.find_all("code"):
        each.unwrap()
    first = next(pre.children, None)
    if isinstance(first, Tag) and not first.contents:
        first.decompose()
    holder = BeautifulSoup("", "html.parser").new_tag("code")
    for child in list(pre.contents):
        holder.append(child.extract())
    pre.append(holder)
    if pre.parent is None or pre.parent.name != "div" or "highlight" not in (pre.parent.get("class") or ()):
        pre.wrap(BeautifulSoup("", "html.parser").new_tag("div", attrs={"class": "highlight"}))
    if pre.parent is not None:
        pre.parent["class"] = "highlight no-copy"


class Headings:
    """Gives the headings of a page their anchors and permanent links, and makes its table of contents."""

    def __init__(self, top: str) -> None:
        self.taken = {top}
        self.links: list[AnchorLink] = []

    def mark(self, element: Tag) -> None:
        for tag in element.find_all(re.compile("^h[1-6]$")):
            text = restored(tag.get_text()).strip()
            # A page has one H1; a second one is a section like any other.
            level = max(2, int(tag.name[1]))
            tag.name = f"h{level}"
            anchor = tag["id"] = self.free(slug(text) or "section")
            self.add(AnchorLink(escape(text), anchor, level), self.links)
            mark = BeautifulSoup("", "html.parser").new_tag("a", attrs={"class": "headerlink", "href": f"#{anchor}"})
            mark.string = "¶"
            tag.append(mark)

    def free(self, wanted: str) -> str:
        number, anchor = 1, wanted
        while anchor in self.taken:
            number += 1
            anchor = f"{wanted}-{number}"
        self.taken.add(anchor)
        return anchor

    def add(self, new: AnchorLink, among: list[AnchorLink]) -> None:
        if among and among[-1].level < new.level:
            self.add(new, among[-1].children)
        else:
            among.append(new)


def slug(text: str) -> str:
    """The anchor of a heading: no capitals, which our own anchors begin with. JupyterLab's own form, `#What-breaks`, has the same slug, so links in its form resolve too."""
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", text).strip().lower())
