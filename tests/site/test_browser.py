"""What a reader does: search, copy, follow a square, read on a phone, in light and in dark."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page
from site_support import BREAKAGES, each_breakage, search

from tf_breakages.breakage import Breakage

PAGES = ["", "releases/", "how-it-works/", "format/", "404.html", *(f"{each.id}/" for each in BREAKAGES)]
FEW = ["", "releases/", "how-it-works/", *(f"{each.id}/" for each in BREAKAGES[:2])]

CONTRASTS = """() => {
  const parse = (text) => { const n = text.match(/[\\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
  const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3]));
  const light = (c) => { const [r, g, b] = c.map((v) => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b; };
  const behind = (el) => { const layers = []; for (let e = el; e; e = e.parentElement) layers.push(parse(getComputedStyle(e).backgroundColor));
    return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255]); };
  const poor = new Set();
  const check = (style, under, what) => {
    if (style.content === "none" || style.display === "none") return;
    const bg = over(parse(style.backgroundColor), under), fg = over(parse(style.color), bg);
    const [a, b] = [light(fg), light(bg)].sort((x, y) => y - x), ratio = (a + .05) / (b + .05), size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5)) poor.add(`${what}: ${ratio.toFixed(2)} ${style.color} on ${bg.map(Math.round)}`);
  };
  const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const el = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !el.checkVisibility() || el.closest(".headerlink, script, style")) continue;
    check(getComputedStyle(el), el.parentElement ? behind(el.parentElement) : [255, 255, 255], el.className + " " + el.tagName);
  }
  for (const el of document.querySelectorAll(".tfb-strip i, .tfb-mini i, .tfb-told li, .tfb-evidence > *, .tfb-legend i"))
    for (const side of ["::before", "::after"]) {
      const style = getComputedStyle(el, side);
      if (style.content !== "none" && style.content !== '""' && style.content !== "normal") check(style, behind(el), el.className + side);
    }
  return [...poor];
}"""


@pytest.mark.parametrize("path", PAGES)
def test_no_request_leaves_the_origin(page: Page, address: str, path: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address + path)
    if path in FEW:
        search(page, "tf.Session")
        page.wait_for_timeout(300)
    page.wait_for_load_state("networkidle")
    assert {urlsplit(url).netloc for url in asked if not url.startswith(("data:", "blob:"))} == {
        urlsplit(address).netloc
    }


@each_breakage
def test_the_button_copies_exactly_the_program(
    context: BrowserContext, page: Page, address: str, breakage: Breakage
) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{address}{breakage.id}/")
    programs = page.locator(".tfb-program")
    assert programs.count() == len(breakage.programs)
    programs.first.locator("button[data-clipboard-target]").first.wait_for(state="attached")
    assert page.locator("article button[data-clipboard-target]").count() == len(programs.all())
    for number, cell in enumerate(breakage.programs):
        button = programs.nth(number).locator("button[data-clipboard-target]").first
        # A hand's click scrolls the page to its target, which takes a second; that a hand can reach it is seen once.
        button.dispatch_event("click") if number else button.click()
        page.wait_for_timeout(20)
        assert page.evaluate("navigator.clipboard.readText()") == cell.source.rstrip()


@each_breakage
def test_search_finds_the_page_of_a_message_first(searched: Page, breakage: Breakage) -> None:
    found = search(searched, breakage.message.replace("`", ""))
    assert found, "nothing was found"
    assert urlsplit(found[0]).path.strip("/").endswith(breakage.id)


@each_breakage
def test_a_square_opens_its_evidence(page: Page, address: str, breakage: Breakage) -> None:
    page.goto(f"{address}{breakage.id}/")
    links = {str(link.get_attribute("href")): link for link in page.locator(".tfb-strip--page a").all()}
    for href, link in links.items():
        link.click()
        target = page.locator(f"[id='{href[1:]}']")
        assert target.is_visible()
        box = target.bounding_box()
        assert box is not None
        assert 0 <= box["y"] < 900


@pytest.mark.parametrize("path", PAGES)
def test_a_phone_needs_no_scrolling_sideways(browser: Browser, address: str, path: str) -> None:
    with browser.new_context(viewport={"width": 320, "height": 844}) as context:
        page = context.new_page()
        page.goto(address + path)
        for width in (320, 390, 768):
            page.set_viewport_size({"width": width, "height": 844})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            wide = page.evaluate(
                f"[...document.querySelectorAll('.tfb-strip, .tfb-evidence, .tfb-messages')].filter(e => e.getBoundingClientRect().right > {width}).length"
            )
            assert wide == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", FEW)
def test_contrast(browser: Browser, address: str, path: str, scheme: str) -> None:
    with browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme=scheme) as context:  # type: ignore[arg-type]
        page = context.new_page()
        page.goto(address + path)
        page.wait_for_timeout(700)  # Material fades its colours in
        assert page.evaluate(CONTRASTS) == []


def test_without_javascript_everything_is_there(browser: Browser, address: str) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{address}{BREAKAGES[0].id}/")
        page.locator(".tfb-strip--page a").last.click()
        assert page.locator(".tfb-evidence > :has(> :target), .tfb-evidence > :target").first.is_visible()


def test_pages_listed_here_exist(site: Path) -> None:
    assert all((site / path / "index.html").exists() for path in PAGES if not path.endswith(".html"))
