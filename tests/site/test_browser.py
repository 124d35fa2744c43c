"""What a reader does: search, copy, follow a square, read on a phone, in light and in dark."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page
from site_support import BREAKAGES, each_breakage, search

from tf_breakages.breakage import Breakage, Cell

PAGES = [
    "",
    "breakages/",
    "upgrade/",
    "releases/",
    "releases/2.16/",
    "how-it-works/",
    "format/",
    "404.html",
    *(f"{each.id}/" for each in BREAKAGES),
]
FEW = [
    "",
    "breakages/",
    "upgrade/",
    "releases/",
    "releases/2.16/",
    "how-it-works/",
    *(f"{each.id}/" for each in BREAKAGES[:2]),
]

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


def first_found(page: Page, query: str) -> str:
    """The id of the first page that a search finds; no breakage's where it is none."""
    found = search(page, query)
    return "/".join(urlsplit(found[0]).path.strip("/").split("/")[-2:]) if found else "nothing"


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
    assert page.locator(".tfb-program button[data-clipboard-target]").count() == len(programs.all())
    for number, cell in enumerate(breakage.programs):
        button = programs.nth(number).locator("button[data-clipboard-target]").first
        # A hand's click scrolls the page to its target, which takes a second; that a hand can reach it is seen once.
        button.dispatch_event("click") if number else button.click()
        page.wait_for_timeout(20)
        assert page.evaluate("navigator.clipboard.readText()") == cell.source.rstrip()


@each_breakage
def test_search_finds_a_page_of_a_message_first(searched: Page, breakage: Breakage) -> None:
    """One message may stand on several pages (whatever of `tf.contrib` is asked for): any of them, first."""
    query = breakage.message.replace("`", "")
    told = {each.id for each in BREAKAGES if any(query in message for message, _ in each.messages)}
    assert first_found(searched, query) in told | {breakage.id}


@each_breakage
def test_search_finds_the_page_of_an_api_and_its_message_first(searched: Page, breakage: Breakage) -> None:
    assert first_found(searched, breakage.title.replace("`", "")) == breakage.id


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


# -- the reader's release ----------------------------------------------------------------------------------------


def test_a_release_in_the_address_is_shown_and_remembered(page: Page, address: str) -> None:
    breakage = next(each for each in BREAKAGES if len({each.state(each.programs[0], pin) for pin in each.order}) > 1)
    page.goto(f"{address}{breakage.id}/?tf=2.3")
    assert page.locator(".tfb-release").input_value() == "2.3"
    assert page.locator(".tfb-verdict:visible").count() == 1
    assert "2.3" in str(page.locator(".tfb-verdict:visible").get_attribute("data-pins")).split()
    assert page.locator(".tfb-strip--page i.here").inner_text().split()[-1] == "2.3"
    assert page.locator(".tfb-evidence > .here").count() == len(breakage.programs)
    other = next(each for each in BREAKAGES if each is not breakage)
    page.goto(f"{address}{other.id}/")
    assert page.locator(".tfb-release").input_value() == "2.3"
    assert page.url.endswith("?tf=2.3")


def test_choosing_a_release_changes_the_page_and_the_address(page: Page, address: str) -> None:
    page.goto(f"{address}{BREAKAGES[0].id}/")
    assert "?" not in page.url
    page.locator(".tfb-release").select_option("1.15")
    assert page.url.endswith("?tf=1.15")
    assert "Works" in page.locator(".tfb-verdict:visible").inner_text()


def test_a_release_that_is_none_changes_nothing(page: Page, address: str) -> None:
    page.goto(f"{address}{BREAKAGES[0].id}/?tf=9.9")
    assert page.locator(".tfb-release").input_value() == BREAKAGES[0].order[-1]


def test_the_verdicts_button_copies_the_fix(context: BrowserContext, page: Page, address: str) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    breakage = BREAKAGES[0]
    page.goto(f"{address}{breakage.id}/")
    button = page.locator(".tfb-verdict:visible .tfb-copy").first
    number = int(str(button.get_attribute("data-clipboard-target")).removeprefix("#C").removesuffix(" code"))
    button.click()
    page.wait_for_timeout(50)
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == next(cell.source for cell in breakage.programs if cell.number == number).rstrip()


def test_the_index_leaves_what_is_asked_for(page: Page, address: str) -> None:
    page.goto(f"{address}breakages/")
    page.locator("[name=topic]").select_option("contrib")
    page.locator("[name=sort]").select_option("sites")
    shown = page.locator(".tfb-index > li")
    assert shown.count() == sum(each.topic == "contrib" for each in BREAKAGES)
    sites = [int(str(item.get_attribute("data-sites"))) for item in shown.all()]
    assert sites == sorted(sites, reverse=True)
    page.goto(page.url)  # the address alone tells it
    assert page.locator(".tfb-index > li").count() == len(sites)
    page.locator("[name=q]").fill("crf")
    assert page.locator(".tfb-index > li").count() == 1
    page.goto(f"{address}breakages/?on=1.15")
    assert page.locator(".tfb-index > li").count() == sum("1.15" in each.broken_pins for each in BREAKAGES)


def test_the_planner_leaves_what_breaks_on_the_way(context: BrowserContext, page: Page, address: str) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{address}upgrade/?from=2.15&to=2.16")
    shown = page.locator(".tfb-todo li:visible")
    expected = {each.id for each in BREAKAGES if newly_broken(each, "2.15", "2.16")}
    expected |= {f"{each.id}#lost" for each in BREAKAGES if fix_lost(each, "2.15", "2.16")}
    assert {str(item.get_attribute("data-id")) for item in shown.all()} == expected
    assert "layers/dense#lost" in expected
    # What broke long ago on the page, and on this step anew, stands below this step.
    assert page.locator("[data-step]:visible").count() == 1
    shown.first.locator("input").check()
    page.reload()
    assert page.locator(".tfb-todo li:visible input").first.is_checked()
    page.locator("[data-do=copy]").click()
    page.wait_for_function("document.querySelector('.tfb-planner output').value === 'Copied.'")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("## From TensorFlow 2.15 to 2.16\n")
    assert copied.count("- [ ] [") == len(expected) - 1
    assert copied.count("- [x] [") == 1


def befores(breakage: Breakage) -> list[Cell]:
    return [cell for cell in breakage.programs if cell.role == "before"]


def newly_broken(breakage: Breakage, left: str, to: str) -> bool:
    return any(
        to in breakage.broken(cell) and left not in breakage.broken(cell)
        for cell in befores(breakage)
        if breakage.since is not None
    )


def fix_lost(breakage: Breakage, left: str, to: str) -> bool:
    return any(
        breakage.solves(fix, left) and not breakage.solves(fix, to)
        for cell in befores(breakage)
        if to in breakage.broken(cell)
        for fix in (*breakage.answers(cell, "fix"), *breakage.answers(cell, "trap"))
    )
