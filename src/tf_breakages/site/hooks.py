"""All that MkDocs knows of us: its events, each handed to the module that does the work."""

import os
import re
import shutil
from dataclasses import dataclass, field
from html import escape
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from posixpath import normpath
from urllib.parse import unquote, urlsplit

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority, get_plugin_logger
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.structure.toc import AnchorLink, TableOfContents

from tf_breakages import breakage as breakages
from tf_breakages.breakage import Breakage
from tf_breakages.errors import MachineryError
from tf_breakages.pins import load
from tf_breakages.site import lists, machine
from tf_breakages.site.corpus import Corpus, code, plain, topic_title, topics
from tf_breakages.site.extract import extract, slug
from tf_breakages.site.page import page as rendered
from tf_breakages.site.prepare import prepared, put

log = get_plugin_logger("tf-breakages")

RENDERER = "mkdocs-jupyter"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
"""Topics and slugs become addresses and stand in theme templates that escape nothing."""


ANCHOR = re.compile(r'<[a-z][^<>]*? id="([^"]+)"')
INDENT = re.compile(r"\s*\n\s*")
RELEASE = """---
title: TensorFlow {0}
description: What breaks on arriving at TensorFlow {0}, of all that was executed on it and on the release before it.
hide: [navigation, toc]
---
# TensorFlow {0}

<!-- tfb:release {0} -->
"""
"""The page of a release."""
WHOLE = 1.1
"""How much more a page on a whole module counts in search than those on its parts, whose texts name it just as often."""
UNSEARCHED = re.compile(r"(<[a-z]+\b[^<>]*?) data-search-exclude(?=[ >])")


@dataclass
class Build:
    """What one build knows; each build, also one that `mkdocs serve` starts, begins anew."""

    corpus: Corpus
    cache: Path
    by_uri: dict[str, Breakage] = field(default_factory=dict)


build: Build


@event_priority(100)
def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Read the corpus, list it in the navigation, and give the renderer a cache that its own version does not outlive."""
    global build  # noqa: PLW0603, MkDocs has no other place for what a hook keeps
    pins = load()
    build = Build(Corpus(pins, tuple(read())), cache(config))
    build.by_uri = {f"{each.id}.ipynb": each for each in build.corpus.breakages}
    config.plugins[RENDERER].config["cache_dir"] = str(
        build.cache / f"{RENDERER}-{version(RENDERER)}-{version('nbconvert')}"
    )
    for item in config.nav or []:
        if isinstance(item, dict) and "Breakages" in item:
            item["Breakages"] = navigation(build.corpus)
    if not config.repo_url:
        config.edit_uri = None
    return config


def cache(config: MkDocsConfig) -> Path:
    """Where copies and rendered cells are kept between builds; safe to delete."""
    chosen = os.environ.get("TFB_SITE_CACHE")
    return Path(chosen) if chosen else Path(config.config_file_path).parent / ".cache" / "site"


def read() -> list[Breakage]:
    """Every notebook that can be shown; one that can't is an error of the build, and the others are shown."""
    found = []
    for path in breakages.paths():
        try:
            breakage = breakages.of_notebook(path)
        except MachineryError as error:
            log.error(str(error))
            continue
        if not (NAME.fullmatch(breakage.topic) and NAME.fullmatch(breakage.slug)):
            log.error("%r is not shown: name topic and notebook with letters, digits, '-', '_' and '.' only", str(path))
            continue
        if bare := [str(cell.number) for cell in breakage.programs if not cell.reading]:
            log.warning("%s has no valid recording of cell %s. Run: tfb record %s", breakage.id, ", ".join(bare), path)
        found.append(breakage)
    return found


def navigation(corpus: Corpus) -> list[dict[str, str] | dict[str, list[dict[str, str]]]]:
    return [
        {"All": "breakages.md"},
        *(
            {
                topic_title(topic): [
                    {short(each): f"{each.id}.ipynb"} for each in corpus.breakages if each.topic == topic
                ]
            }
            for topic in topics(corpus.breakages)
        ),
    ]


def short(breakage: Breakage) -> str:
    """A page's name in navigation, escaped like all that Material gets of a notebook, because Material's templates do not."""
    return escape(plain(breakage.api or breakage.slug))


@event_priority(100)
def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the notebooks as prepared copies, before mkdocs-jupyter looks for its files; and what is made of all of them."""
    for uri, breakage in build.by_uri.items():
        copy = build.cache / "prepared" / uri
        put(copy, prepared(breakage))
        files.append(File(uri, str(build.cache / "prepared"), config.site_dir, config.use_directory_urls))
    for pin in build.corpus.pins:
        files.append(File.generated(config, f"releases/{pin.name}.md", content=RELEASE.format(pin.name)))
    told = machine.breakages(build.corpus, lambda each: f"{each.id}/")
    files.append(File.generated(config, "breakages.json", content=told))
    listed = machine.llms(build.corpus, lambda each: f"{each.id}/index.html.md")
    files.append(File.generated(config, "llms.txt", content=listed))
    return files


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rebuild a notebook's page out of its cells; fill the places of a hand-written one."""
    breakage = build.by_uri.get(page.file.src_uri)
    if breakage is None:
        try:
            return lists.fill(html, build.corpus, lambda each: to(files, f"{each.id}.ipynb", page))
        except KeyError as error:
            log.warning("%s has the place `tfb:%s`, which nothing fills", page.file.src_uri, error.args[0])
            return html
    links = Links(page, files)
    cells = extract(html, breakage.cells, links.resolve, breakage.slug)
    for image in cells.images:
        log.warning("Doc file '%s' shows the image '%s', which pages can't", page.file.src_uri, image)
    known = [other for other in breakage.related if f"{other}.ipynb" in build.by_uri]
    for other in set(breakage.related) - set(known):
        log.warning("%s names %r as related, which is no breakage", breakage.id, other)
    urls = {other: to(files, f"{other}.ipynb", page) for other in known}
    urls |= {"releases": to(files, "releases.md", page), "notebook": f"{breakage.slug}.ipynb"}
    top = AnchorLink(escape(cells.title), breakage.slug, 1)
    top.children = list(cells.headings)
    page.toc = TableOfContents([top])
    page.title = short(breakage)
    page.meta = {"title": escape(cells.title), "description": escape(cells.summary)}
    if build.corpus.has_parts(breakage):
        page.meta["search"] = {"boost": WHOLE}
    if page.edit_url and config.edit_uri:
        page.edit_url = page.edit_url.replace(config.edit_uri, config.edit_uri.replace("/docs/", "/notebooks/"), 1)
    made = rendered(breakage, cells, urls, lambda other: code(build.by_uri[f"{other}.ipynb"].title))
    page.present_anchor_ids = set(ANCHOR.findall(made))
    page.links_to_anchors = links.anchors
    return made


def to(files: Files, uri: str, page: Page) -> str:
    """The address of a file, as seen from a page."""
    target = files.get_file_from_path(uri)
    if target is None:
        log.warning("%s links to %s, which is no page", page.file.src_uri, uri)
        return "."
    return target.url_relative_to(page.file)


class Links:
    """Links in a notebook's text: written as paths between files, as they work in JupyterLab and on a forge."""

    def __init__(self, page: Page, files: Files) -> None:
        self.page = page
        self.files = files
        self.anchors: dict[File, dict[str, str]] = {}
        """For MkDocs, which checks them when all pages are rendered."""

    def resolve(self, href: str) -> str | None:
        """What the link is on the site; None, and a warning, where it leads nowhere."""
        try:
            parts = urlsplit(href)
        except ValueError:
            parts = urlsplit("invalid:")
        if parts.scheme in ("https", "http", "mailto"):
            return href
        beside = not (parts.scheme or parts.netloc or href.startswith("/"))
        target = (self.file(unquote(parts.path)) if parts.path else self.page.file) if beside else None
        if target is None:
            why = "there is no such page" if beside else "it is neither a web address nor a path from this notebook"
            log.warning("Doc file '%s' contains a link '%s', but %s.", self.page.file.src_uri, href, why)
            return None
        anchor = slug(unquote(parts.fragment))
        if anchor:
            self.anchors.setdefault(target, {})[anchor] = href
        url = target.url_relative_to(self.page.file) if parts.path else ""
        return url + (f"#{anchor}" if anchor else "")

    def file(self, path: str) -> File | None:
        """The file a path leads to: from `notebooks/<topic>/`, to another notebook or into `docs/`."""
        full = normpath(PurePosixPath("notebooks", PurePosixPath(self.page.file.src_uri).parent, path).as_posix())
        folder, _, uri = full.partition("/")
        return self.files.get_file_from_path(uri) if folder in ("notebooks", "docs") else None


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Drop what nobody reads: the search plugin's marks, and, where there is no code, the indentation of Material's templates."""
    head, start, rest = output.partition("<article")
    article, end, foot = rest.partition("</article>")
    return INDENT.sub("\n", head) + start + UNSEARCHED.sub(r"\1", article) + end + INDENT.sub("\n", foot)


def on_post_build(config: MkDocsConfig) -> None:
    """Lay each recorded notebook beside its page, for whoever wants to run it, and the page as Markdown."""
    for breakage in build.corpus.breakages:
        folder = Path(config.site_dir) / breakage.id
        shutil.copyfile(breakage.path, folder / f"{breakage.slug}.ipynb")
        (folder / "index.html.md").write_text(machine.markdown(breakage), "utf-8")
