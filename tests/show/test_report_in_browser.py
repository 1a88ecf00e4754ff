"""The report in a real browser: it sorts, it zooms, it switches colours, and it asks nobody for anything."""

from pathlib import Path

import pytest

import simpar
from simpar.show.report import html

CHROMIUM = Path("/usr/bin/chromium")
ROOT = Path(__file__).parents[2]
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="apt-get install chromium")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    scenario = simpar.load(ROOT / "scenarios" / "quickstart.yaml", set={"name": "<script>alert(1)</script>"})
    file = tmp_path_factory.mktemp("report") / "report.html"
    file.write_text(html(simpar.compare(scenario), scenario), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def page(browser, file):
    """The open page; that it asked for nothing and complained of nothing is checked at the end."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    page = context.new_page()
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    page.wait_for_selector("#lanes rect[data-bar]")
    yield page
    context.close()
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()]


def column(page, number):
    return page.locator(f"#ranked-table tbody tr > :nth-child({number})").all_inner_texts()


def test_a_press_on_a_heading_sorts_by_number_and_another_the_other_way_round(page):
    heading = page.locator("#ranked-table th", has=page.get_by_role("button", name="images/s"))
    assert column(page, 2) == ["1", "2", "3", "4"]
    heading.get_by_role("button").click()
    # As numbers: 1 159 before 2 086, fewest first.
    assert heading.get_attribute("aria-sort") == "ascending"
    assert column(page, 2) == ["4", "3", "2", "1"]
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    assert column(page, 2) == ["1", "2", "3", "4"]


def test_the_keyboard_sorts_too_and_one_column_at_a_time(page):
    for name in ("speedup", "efficiency"):
        page.locator("#ranked-table").get_by_role("button", name=name).focus()
        page.keyboard.press("Enter")
    orders = page.locator("#ranked-table th[aria-sort]").evaluate_all("all => all.map(th => th.ariaSort)")
    assert orders.count("ascending") == 1
    assert orders.count("none") == len(orders) - 1


def test_what_has_no_figure_stays_last_either_way(page):
    button = page.locator("#ranked-table").get_by_role("button", name="staleness")
    for _ in range(2):
        button.click()
        assert column(page, 8)[0] == "7.0 updates"


def span(page):
    return float(page.locator("#plot").get_attribute("data-span"))


def test_buttons_and_keys_zoom_and_move_the_timeline(page):
    page.get_by_role("button", name="Zoom in").click()
    once = span(page)
    page.locator("#plot").focus()
    page.keyboard.press("+")
    assert span(page) == pytest.approx(once / 2)
    before = float(page.locator("#plot").get_attribute("data-from"))
    page.keyboard.press("Shift+ArrowRight")
    assert float(page.locator("#plot").get_attribute("data-from")) == pytest.approx(before + once / 8)
    page.keyboard.press("-")
    assert span(page) == pytest.approx(once)
    page.keyboard.press("Home")
    assert span(page) == pytest.approx(2 * once)


def test_the_wheel_zooms_a_timeline_that_has_focus_and_dragging_moves_it(page):
    page.get_by_role("button", name="Zoom in").click()
    whole = span(page)
    box = page.locator("#lanes").bounding_box()
    page.locator("#plot").focus()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 30)
    page.mouse.wheel(0, -100)
    page.wait_for_function(f"Number(document.getElementById('plot').dataset.span) < {whole}")
    before = float(page.locator("#plot").get_attribute("data-from"))
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 - 100, box["y"] + 30, steps=4)
    page.mouse.up()
    assert float(page.locator("#plot").get_attribute("data-from")) > before


def test_without_focus_the_wheel_scrolls_the_page(page):
    page.get_by_role("button", name="Zoom in").click()
    before = span(page)
    page.locator("#lanes").hover(position={"x": 300, "y": 30})
    page.mouse.wheel(0, 100)
    page.wait_for_timeout(100)
    assert span(page) == before


def test_arrow_keys_read_bar_after_bar(page):
    page.locator("#which").select_option(label="ps-sync, 2 servers (ps-sync)")
    page.locator("#plot").focus()
    page.keyboard.press("ArrowRight")
    first = page.locator("#tip").inner_text()
    page.keyboard.press("ArrowRight")
    second = page.locator("#tip").inner_text()
    assert "forward on w0 compute, 60 ms" in first
    assert "backward on w0 compute, 120 ms" in second
    page.keyboard.press("ArrowDown")
    assert "w0 > ps0" in page.locator("#tip").inner_text()


def test_pointing_at_a_bar_says_what_it_is(page):
    page.locator("#lanes rect[data-bar='0']").hover()
    assert page.locator("#tip").inner_text().startswith("w0.")


def test_the_button_switches_the_colours(page):
    def ground():
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    light = ground()
    page.get_by_role("button", name="Switch to dark").click()
    assert ground() != light
    page.get_by_role("button", name="Switch to light").click()
    assert ground() == light


@pytest.mark.parametrize("width", [1280, 420])
@pytest.mark.parametrize("colours", ["light", "dark"])
def test_nothing_runs_off_the_page(page, width, colours):
    page.emulate_media(color_scheme=colours)
    page.set_viewport_size({"width": width, "height": 900})
    page.wait_for_timeout(100)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_it_prints_without_its_controls(page):
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()
    assert not page.locator("#theme").is_visible()
    assert page.locator("#ranked-table").is_visible()
    assert page.locator("#lanes svg").first.is_visible()
