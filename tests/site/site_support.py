"""What the site's tests share: the corpus, a build as `make site` does it, and a search as a reader does it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tf_breakages import breakage

BREAKAGES = [breakage.of_notebook(path) for path in breakage.paths()]
each_breakage = pytest.mark.parametrize("breakage", BREAKAGES, ids=[each.id for each in BREAKAGES])

# A repository is named, because a page with a link to one is where Material would ask GitHub for its stars.
ADDRESSES = {"SITE_URL": "https://example.org/", "REPO_URL": "https://github.com/example/tf-breakages"}


def mkdocs(tree: Path, out: Path, cache: Path) -> subprocess.CompletedProcess[str]:
    """Build a tree's site as `make site` does."""
    env = os.environ | ADDRESSES | {"NO_MKDOCS_2_WARNING": "1", "TFB_ROOT": str(tree), "TFB_SITE_CACHE": str(cache)}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", "mkdocs.yml", "-d", str(out)]
    return subprocess.run(command, cwd=tree, env=env, capture_output=True, text=True, check=False)


def complaints(told: str) -> list[str]:
    """What of a build's output a person has to act on."""
    return [line for line in told.splitlines() if not line.startswith("INFO")]


def search(page: Page, query: str) -> list[str]:
    """Type a query into Material's search; the pages found, best first."""
    box = page.locator(".md-search__input")
    box.click()
    # Cleared first: what an earlier query found must not be taken for what this one finds.
    for text, told in (("", "^Type"), (query, "document|No matching")):
        box.fill(text)
        box.press("End")
        page.wait_for_function(
            "told => new RegExp(told).test(document.querySelector('.md-search-result__meta').textContent.trim())",
            arg=told,
        )
    links = page.locator(
        ".md-search-result__item > a.md-search-result__link, .md-search-result__item > .md-search-result__link"
    )
    return [str(link.get_attribute("href")).partition("#")[0].partition("?")[0] for link in links.all()]
