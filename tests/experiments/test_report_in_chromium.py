"""The page in headless Chromium: points are drawn, pointing, zooming and the legend work, nothing fails."""

import json

import pytest
from browser import CHROMIUM, DOWN, DRIVER, MISSING, UP, at, browser
from made_folder import make
from parsed_page import Page, read

from sst_mergekit.reporting.write import write

pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=MISSING)

FRONTS = "const chart = document.querySelector('#chart-fronts-1');"
# the middle of the rightmost mark of a series, and how many marks of it there are
PLACE = (
    FRONTS
    + """chart.scrollIntoView({block: "center", behavior: "instant"});
const found = [...chart.querySelectorAll(`.canvas .c-${arguments[0]} .mark`)];
const boxes = found.map((mark) => mark.getBoundingClientRect()).sort((a, b) => b.x - a.x);
return [boxes[0].x + boxes[0].width / 2, boxes[0].y + boxes[0].height / 2, found.length];"""
)
TIP = (
    FRONTS
    + """const tip = chart.querySelector(".tip");
return tip.hidden ? null : [...tip.children].map((line) => line.textContent);"""
)
TICKS = FRONTS + "return [...chart.querySelectorAll('.canvas text')].map((text) => text.textContent);"
CLICK = (
    FRONTS
    + """const one = [...chart.querySelectorAll("button")].find((each) => each.textContent === arguments[0]);
one.click();
return one.getAttribute("aria-pressed");"""
)
SST = 0  # its colour


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = make(tmp_path_factory.mktemp("made") / "out", sst=(0.95, 0.75))
    write(out)
    return out


@pytest.fixture(scope="module")
def window(made):
    with browser() as page:
        page.open(made / "report.html")
        yield page


@pytest.fixture
def page(window, made):
    window.open(made / "report.html")
    yield window
    assert window.console() == []


def test_every_point_is_drawn(page, made):
    spec = json.loads(Page(read(made)[0]).scripts[0])
    drawn = page.script(FRONTS + "return chart.querySelectorAll('.canvas .mark').length")
    assert drawn == sum(len(series["points"]) for series in spec["series"])
    lines = page.script(FRONTS + "return chart.querySelectorAll('.canvas .line').length")
    assert lines == sum(len(series["lines"]) for series in spec["series"])
    assert page.script("return document.querySelectorAll('#chart-retained-1 .canvas .mark').length") == 2 * 7
    assert page.script("return document.title") == "Safety and skill after merging: tiny-world"


def test_pointing_shows_settings_and_values(page):
    page.script(CLICK, "42")
    x, y, _ = page.script(PLACE, SST)
    page.pointer(at(x + 3, y - 3))
    assert page.script(TIP) == [
        "SST-Merge, seed 42",
        "strength 0.5, cost 0.3",
        "safety 0.950, utility 0.750",
        "chosen on the development split",
    ]
    page.pointer(at(5, 5))
    assert page.script(TIP) is None


def test_a_drag_zooms_and_a_double_click_shows_all(page):
    whole = page.script(TICKS)
    x, y, _ = page.script(PLACE, SST)
    page.pointer(at(x - 60, y - 60), DOWN, at(x, y), at(x + 20, y + 60), UP)
    near = page.script(TICKS)
    assert near != whole
    assert "0.0" not in near
    page.pointer(at(x, y), DOWN, UP, DOWN, UP)
    assert page.script(TICKS) == whole


def test_keys_zoom_and_move(page):
    whole = page.script(TICKS)
    page.script(FRONTS + "chart.querySelector('.canvas').focus()")
    page.keys("+++")
    near = page.script(TICKS)
    assert near != whole
    page.keys("\ue014")  # the right arrow
    assert page.script(TICKS) != near
    page.keys("0")
    assert page.script(TICKS) == whole


def test_the_legend_and_the_seeds_choose_what_is_drawn(page):
    count = f"return document.querySelectorAll('#chart-fronts-1 .canvas .c-{SST} .mark').length"
    every = page.script(count)
    page.script(CLICK, "42")
    one = page.script(count)
    assert 0 < one < every
    assert page.script(CLICK, "SST-Merge") == "false"
    assert page.script(count) == 0
    assert page.script(CLICK, "SST-Merge") == "true"
    assert page.script(count) == one


def test_harm_is_not_seen_before_it_is_unfolded(page):
    seen = "return document.querySelector('details.harmful .prompt').checkVisibility()"
    assert page.script(seen) is False
    page.script("document.querySelector('details.harmful > summary').click()")
    assert page.script(seen) is True


def test_what_is_said_is_not_run_and_nothing_is_asked_for(page):
    assert page.script("return document.title").startswith("Safety")
    loaded = page.script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert loaded == []
    # even a script that got in would not be run
    page.script(
        "const s = document.createElement('script'); s.textContent = 'owned = 1'; document.body.append(s)"
    )
    assert page.script("return typeof owned") == "undefined"
    [refused] = page.console()
    assert "Content Security Policy" in refused


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_shows_it_without_scrolling_aside(made, dark):
    with browser(390, 844, dark) as page:
        page.open(made / "report.html")
        assert page.script("return document.documentElement.scrollWidth") == 390
        colours = page.script(
            "const style = getComputedStyle(document.body); return [style.color, style.backgroundColor]"
        )
        text, paper = (sum(map(int, colour[4:-1].split(","))) for colour in colours)
        assert (text > paper) == dark
        assert page.console() == []
