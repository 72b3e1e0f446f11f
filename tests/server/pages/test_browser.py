"""The pages in a real browser: what they look like to a person, to a keyboard, and to a screen reader."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]
CHARTED = ("/models/delay@1", "/deployments/delay", "/monitors/delay")
READ = ("/", "/datasets/delays", "/audit?verify=1", "/incidents", "/runs")

# What is missing on a page for those who do not see it, by the first words of the elements concerned.
MISSING = """() => {
  const shown = (e) => e.outerHTML.slice(0, 90);
  const bare = (selector, named) => [...document.querySelectorAll(selector)].filter((e) => !named(e)).map(shown);
  const label = (e) => e.getAttribute("aria-label") || document.getElementById(e.getAttribute("aria-labelledby"));
  const found = [
    ...bare("input:not([type=hidden]), select, textarea", (e) => label(e) || e.labels.length),
    ...bare("img", (e) => e.hasAttribute("alt")),
    ...bare("svg", (e) => label(e) || e.closest("[aria-hidden=true]")),
    ...bare("section, nav, [role=img], [role=region], meter", label),
    ...bare("a, button", (e) => e.textContent.trim() || label(e)),
    ...bare("th", (e) => e.textContent.trim()),
  ];
  for (const [what, n] of [["h1", 1], ["main", 1], ["header", 1], ["footer", 1]])
    if (document.querySelectorAll(what).length !== n) found.push(`${document.querySelectorAll(what).length} ${what}`);
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  found.push(...ids.filter((id, at) => ids.indexOf(id) !== at).map((id) => `id ${id} twice`));
  if (!document.documentElement.lang || !document.title) found.push("no language or title");
  return found;
}"""

# Contrast of text against its background by WCAG 2.2, 1.4.3: at least 4.5 to 1.
CONTRAST = """() => {
  const channel = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const parse = (text) => (text.match(/[0-9.]+/g) || []).map(Number);
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const ground = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length === 3 || c[3] > 0) return c; } return [255, 255, 255]; };
  const low = new Set();
  for (const e of document.querySelectorAll("main *, header *, footer *")) {
    if (e.closest("svg, .chart, .unseen") || ![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
    const [a, b] = [light(parse(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) low.add(`${e.tagName}.${e.className} ${ratio.toFixed(2)} ${e.textContent.trim().slice(0, 30)}`);
  }
  return [...low].slice(0, 8);
}"""


class Reader:
    """A page of a browser that notes what the console complains of."""

    def __init__(self, page: Any, url: str) -> None:
        self.page = page
        self.page.set_default_timeout(120_000)  # a busy machine is no fault
        self.url = url
        self.complaints: list[str] = []
        page.on("console", lambda told: self.complaints.append(told.text) if told.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def open(self, path: str) -> None:
        """Open a page and wait until its charts are drawn."""
        self.complaints.clear()
        answer = self.page.goto(self.url + path)
        assert answer.status == 200, f"{path}: {answer.status}"
        self.page.wait_for_selector("html[data-charts=done]", state="attached")

    def ask(self, script: str) -> Any:
        """What a script says in the page."""
        return self.page.evaluate(script)


class Look(NamedTuple):
    """What a page looked like on a phone in one theme."""

    complaints: list[str]
    width: int
    undrawn: int
    missing: list[str]
    faint: list[str]


@pytest.fixture(scope="module", params=["light", "dark"])
def looks(request: pytest.FixtureRequest, chromium: Any, site: Any, thorough: bool) -> Iterator[dict[str, Look]]:
    """Every page by its path, opened once on a phone; in the dark one of each sort, unless all are asked for."""
    context = chromium.new_context(viewport={"width": 390, "height": 844}, color_scheme=request.param)
    reader = Reader(context.new_page(), site.url)
    paths = site.paths if thorough or request.param == "light" else {*CHARTED, *READ}
    yield {path: _look(reader, path) for path in paths}
    context.close()


def _look(reader: Reader, path: str) -> Look:
    reader.open(path)
    return Look(
        [*reader.complaints],
        reader.ask("document.documentElement.scrollWidth"),
        reader.ask("[...document.querySelectorAll('[data-chart]')].filter(e => e.dataset.drawn !== 'yes').length"),
        reader.ask(MISSING),
        reader.ask(CONTRAST),
    )


@pytest.fixture
def desk(chromium: Any, site: Any) -> Iterator[Reader]:
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    yield Reader(context.new_page(), site.url)
    context.close()


def test_every_page_fits_a_phone_and_nothing_breaks(looks: dict[str, Look]) -> None:
    for path, look in looks.items():
        assert look.complaints == [], path
        assert look.width <= 390, path
        assert look.undrawn == 0, path


def test_every_page_says_what_its_parts_are(looks: dict[str, Look]) -> None:
    assert {path: look.missing for path, look in looks.items() if look.missing} == {}


def test_text_stands_out_enough_to_be_read(looks: dict[str, Look]) -> None:
    assert {path: look.faint for path, look in looks.items() if look.faint} == {}


def test_charts_are_drawn_with_marks_in_them(desk: Reader, site: Any) -> None:
    run = next(path for path in site.paths if path.startswith("/runs/") and "compare" not in path)
    for path in (*CHARTED, run):
        desk.open(path)
        marks = desk.ask("[...document.querySelectorAll('[data-chart]')].map(e => e.querySelectorAll('svg path').length)")
        assert marks and all(n > 3 for n in marks), path


def test_runs_within_a_run_are_folded_and_stay_so_when_what_is_around_them_opens(desk: Reader) -> None:
    desk.open("/runs?experiment=sweep")
    seen = (
        "[...document.querySelectorAll('tr[data-depth]')].filter(e => !e.hidden).map(e => e.querySelector('a').textContent)"
    )
    everything = desk.ask(seen)
    assert everything == ["outer", "fold 0", "innermost", "fold 2", "fold 1"]
    outer, inner = (desk.page.get_by_label(f"Runs in {name}") for name in ("outer", "fold 0"))
    inner.click()
    assert desk.ask(seen) == ["outer", "fold 0", "fold 2", "fold 1"]
    outer.press("Enter")
    assert (desk.ask(seen), outer.get_attribute("aria-expanded")) == (["outer"], "false")
    outer.press("Enter")
    assert desk.ask(seen) == ["outer", "fold 0", "fold 2", "fold 1"]
    inner.click()
    assert desk.ask(seen) == everything


def test_the_theme_changes_and_stays(desk: Reader) -> None:
    desk.open("/")
    paper = "getComputedStyle(document.body).backgroundColor"
    before = desk.ask(paper)
    desk.page.click("#theme")
    assert desk.ask("document.documentElement.dataset.theme") == "dark"
    dark = desk.ask(paper)
    assert dark != before
    desk.open("/models")
    assert desk.ask(paper) == dark


def test_charts_are_drawn_anew_in_the_other_theme(desk: Reader) -> None:
    desk.open("/deployments/delay")
    ink = "document.querySelector('[data-chart] svg text').getAttribute('fill')"
    before = desk.ask(ink)
    desk.page.click("#theme")
    desk.page.wait_for_function(f"{ink} !== {before!r}")


def test_a_keyboard_reaches_everything(desk: Reader) -> None:
    desk.open("/")
    desk.page.keyboard.press("Tab")
    assert desk.ask("document.activeElement.textContent") == "Skip to the content"
    assert desk.ask("document.activeElement.getBoundingClientRect().left") >= 0  # it is seen once it has the focus
    reached = []
    for _ in range(20):
        desk.page.keyboard.press("Tab")
        reached.append(desk.ask("document.activeElement.getAttribute('href') || document.activeElement.id"))
    for path in ("/datasets", "/models", "/deployments", "/incidents", "/audit", "theme", "/deployments/delay"):
        assert path in reached, path
    desk.open("/models")
    desk.page.keyboard.press("/")
    assert desk.ask("document.activeElement.type") == "search"


def test_where_one_is_can_be_seen(desk: Reader, site: Any) -> None:
    desk.open("/models/delay@1")
    assert desk.ask("document.querySelector('nav.rooms [aria-current=page]').textContent") == "Models"


def test_runs_are_compared_from_the_list(desk: Reader) -> None:
    desk.open("/runs?experiment=delay")
    for box in desk.page.query_selector_all("input[name=run]")[:2]:
        box.check()
    with desk.page.expect_navigation():
        desk.page.click("text=Compare the chosen")
    desk.page.wait_for_selector("html[data-charts=done]", state="attached")
    assert "Runs side by side" in desk.page.inner_text("h1")
    assert desk.ask("document.querySelectorAll('[data-drawn=yes]').length") >= 1


def test_the_ledger_is_verified_with_one_click(desk: Reader) -> None:
    desk.open("/audit")
    with desk.page.expect_navigation():
        desk.page.click("text=Verify now")
    desk.page.wait_for_selector("[role=status]")
    assert "verified" in desk.page.inner_text("#h-head")
