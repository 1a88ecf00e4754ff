"""The report: complete, escaped, in order, and nothing in it that a browser would fetch."""

import itertools
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

import simpar
from simpar.result import Comparison, Suggestion
from simpar.show.report import MOST_ROWS, html
from simpar.show.report_figures import Figure, inlined
from simpar.show.report_lanes import MOST_BARS, MOST_BARS_IN_ALL, timelines

ROOT = Path(__file__).parents[2]
QUICKSTART = ROOT / "scenarios" / "quickstart.yaml"
VOID = {"meta", "link", "br", "input", "img", "hr"}
HOSTILE = "<script>alert(1)</script>"


class Page(HTMLParser):
    """Every element with its attributes, its text, and the elements around it."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        element = {"tag": tag, "attrs": dict(attrs), "text": "", "inside": [one["tag"] for one in self.open]}
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1]["tag"] == tag, f"</{tag}> inside <{self.open[-1]['tag']}>"
        self.open.pop()

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data

    def all(self, tag, **attrs):
        """Return the elements of a tag with these attributes."""
        wanted = {key.replace("_", "-").strip("-"): value for key, value in attrs.items()}
        return [one for one in self.elements if one["tag"] == tag and wanted.items() <= one["attrs"].items()]

    def one(self, tag, **attrs):
        [found] = self.all(tag, **attrs)
        return found


def page_of(file, **settings):
    scenario = simpar.load(file, set=settings)
    return html(simpar.compare(scenario), scenario)


@pytest.fixture(scope="module")
def text():
    return page_of(QUICKSTART)


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def written(tmp_path, name="mine", workers=2, extra="", strategies="  - allreduce: {algorithm: ring}\n"):
    """Return a small scenario's file."""
    file = tmp_path / "mine.yaml"
    file.write_text(
        f"name: '{name}'\nmodel: {{preset: mlp, batch: 8}}\n"
        f"cluster: {{workers: {workers}, device: {{forward: 1 ms, backward: 2 ms}}}}\n"
        f"network: {{bandwidth: 1 Gbit/s, latency: 5 us}}\n{extra}strategies:\n{strategies}"
    )
    return file


# -- structure -----------------------------------------------------------------------------------------


def test_every_element_is_closed_and_no_id_is_given_twice(page):
    assert page.open == []
    ids = [one["attrs"]["id"] for one in page.elements if "id" in one["attrs"]]
    assert len(ids) == len(set(ids))


def test_what_names_another_element_names_one_that_is_there(page):
    ids = {one["attrs"].get("id") for one in page.elements}
    for one in page.elements:
        for key in ("aria-labelledby", "aria-describedby", "for"):
            assert one["attrs"].get(key, "answer") in ids
        target = one["attrs"].get("href", "")
        if target.startswith("#"):
            assert target[1:] in ids
    used = re.findall(r"url\(#([^)]+)\)", " ".join(str(one["attrs"]) for one in page.elements))
    assert used
    assert set(used) <= ids


def test_landmarks_and_headings_are_in_order(page):
    for landmark in ("header", "main", "footer", "h1"):
        page.one(landmark)
    page.one("nav", aria_label="Contents")
    assert page.one("html")["attrs"]["lang"] == "en"
    levels = [int(one["tag"][1]) for one in page.elements if re.fullmatch("h[1-6]", one["tag"])]
    assert levels[0] == 1
    assert set(levels[1:]) == {2}


def test_the_parts_stand_in_their_order(page):
    assert [one["attrs"]["id"] for one in page.all("section")] == [
        "answer",
        "strategies",
        "time",
        "bottlenecks",
        "timeline",
        "staleness",
        "memory",
        "notes",
        "assumptions",
        "sources",
        "scenario",
        "reproduce",
    ]


def test_headings_of_the_table_are_buttons_with_a_scope_and_an_order(page):
    headings = [one for one in page.all("th", scope="col") if "aria-sort" in one["attrs"]]
    buttons = [one for one in page.all("button") if one["inside"][-1] == "th"]
    assert len(headings) == len(buttons) > 10
    assert {one["attrs"]["aria-sort"] for one in headings} == {"none"}
    assert len(page.all("th", scope="row")) >= 4


def test_every_figure_says_in_words_what_it_shows(page):
    pictures = page.all("svg", role="img")
    titles = [one for one in page.all("title") if one["inside"][-1] == "svg"]
    assert len(pictures) == len(page.all("figure")) == len(titles) == 3
    # 180 ms of compute, and a ring of 14 rounds: see the closed form in tests/theory.
    ring_s = 0.18 + 14 * (5e-6 + 102_228_128 / 8 / 3.125e9)
    assert f"allreduce ring {ring_s * 1e3:.1f} ms" in titles[0]["text"]
    assert "w0 to w7" in titles[1]["text"]  # who is busy
    assert "ps-async, 2 servers 7.0" in titles[2]["text"]  # staleness: 8 workers, W - 1


def test_the_table_sorts_by_numbers_in_si(page):
    ring_s = 0.18 + 14 * (5e-6 + 102_228_128 / 8 / 3.125e9)
    values = [float(one["attrs"]["data-value"]) for one in page.all("td") if one["attrs"].get("data-value")]
    assert any(value == pytest.approx(ring_s, rel=1e-9) for value in values)


def test_the_page_says_what_was_simulated_and_what_won(page):
    head = page.one("dl")["text"]
    for said in (
        "ResNet-50",
        "25 557 032",
        "64 images",
        "8 workers",
        "25 Gbit/s",
        "5 us",
        "20 steps",
        "seed 0",
    ):
        assert said in head
    assert simpar.__version__ in head
    assert page.one("p", **{"class": "answer"})["text"].startswith("Fastest: allreduce ring, overlapped")


def test_the_scenario_stands_in_it_as_it_was_written(page):
    assert QUICKSTART.read_text() in page.one("section", id="scenario")["text"]


def test_settings_from_outside_are_listed_and_in_the_command(tmp_path):
    file = written(tmp_path)
    page = Page(page_of(file, **{"network.bandwidth": "2 Gbit/s", "cluster.speed": [1, 0.5]}))
    listed = page.one("section", id="scenario")["text"]
    assert "network.bandwidth is 2 Gbit/s" in listed
    assert "bandwidth: 1 Gbit/s" in listed
    command = page.one("section", id="reproduce")["text"]
    assert (
        "simpar compare mine.yaml --set 'network.bandwidth=2 Gbit/s' --set 'cluster.speed=[1, 0.5]'"
        in command
    )


def test_options_that_change_the_page_are_in_the_command_that_makes_it_again(tmp_path):
    scenario = simpar.load(written(tmp_path), set={"run.steps": 3})
    result = simpar.compare(scenario, advise=False)
    page = Page(html(result, scenario, options=["--scale", "workers=1:2; x", "--no-advice"]))
    again, *others = page.one("section", id="reproduce")["text"].strip().splitlines()[-3:]

    assert again == (
        "simpar compare mine.yaml --set run.steps=3 --scale 'workers=1:2; x' --no-advice --html report.html"
    )
    assert not any("--no-advice" in other for other in others)


def test_what_was_not_tried_is_said_apart_from_what_would_help(tmp_path):
    scenario = simpar.load(written(tmp_path))
    result = simpar.compare(scenario, advise=False)
    tried = Suggestion("network.bandwidth", "2 Gbit/s", 0.5)
    limit = replace(result.best.bottleneck, suggestion=tried, skipped=True)
    row = replace(result.best, bottleneck=limit)
    text = Page(html(Comparison("mine", 0, "reference", [row], result.facts, []), scenario)).one(
        "section", id="bottlenecks"
    )["text"]

    assert "try --set 'network.bandwidth=2 Gbit/s', step 500.0 ms." in text
    assert "Others were not tried: too much to simulate here." in text


def test_a_page_of_a_scaling_has_its_speedups_and_where_they_stop_paying(tmp_path):
    """A batch of 3 ms; 2 workers are as fast as W devices but for what they send."""
    scenario = simpar.load(written(tmp_path))
    scaled = simpar.scale(scenario, "workers", "1,2,4")
    page = Page(html(simpar.compare(scenario), scenario, scaling=scaled))

    table = page.one("table", id="scaled-table")
    heads = [one["text"].strip() for one in page.all("th", scope="col") if one["text"] in table["text"]]
    assert {"1 worker", "2 workers", "4 workers", "stops paying"} <= set(heads)
    assert "1.00" in table["text"]  # one device without communication
    assert "Batch 8 on each worker (weak scaling)." in page.one("section", id="scaling")["text"]
    assert page.one("a", href="#scaling")


def test_prices_bring_the_figures_of_money(tmp_path):
    page = Page(page_of(written(tmp_path, extra="prices: {device: 3.60 USD/h}\n")))

    inside = [one["text"].strip() for one in page.all("figcaption")]
    assert inside[-2:] == ["What training costs", "Cost against time"]


def test_every_preset_figure_has_its_source_its_address_and_its_day():
    page = Page(page_of(ROOT / "scenarios" / "cloud-a-or-b.yaml"))
    sources = page.one("section", id="sources")
    used = [one for one in page.all("a") if "td" in one["inside"] and "section" in one["inside"]]
    assert all(one["attrs"]["href"].startswith("https://") for one in used)
    for said in ("15.7 TFLOP/s", "25 Gbit/s", "24.48 USD/h", "2026-"):
        assert said in sources["text"]


def test_money_and_spread_have_their_parts(tmp_path):
    extra = "prices: {device: 3.60 USD/h}\n"
    extra += "variation: {compute: {kind: lognormal, mean: 1, cv: 0.1}, replications: 3}\n"
    file = written(tmp_path, extra=extra)
    page = Page(page_of(file))
    assert "7.20" in page.one("section", id="money")["text"]  # two devices
    assert " to " in page.one("table", id="spreads-table")["text"]


def test_what_does_not_fit_is_said_and_has_no_timeline(tmp_path):
    file = written(tmp_path)
    file.write_text(file.read_text().replace("backward: 2 ms", "backward: 2 ms, memory: 1 kB"))
    page = Page(page_of(file))
    assert page.one("p", **{"class": "answer"})["text"] == "No strategy fits in memory."
    assert "does not fit in memory" in page.one("section", id="bottlenecks")["text"]
    assert page.all("section", id="timeline") == []
    assert page.all("figure") == []


# -- nothing from elsewhere ----------------------------------------------------------------------------


def test_a_browser_would_fetch_nothing(page):
    for one in page.elements:
        attrs = one["attrs"]
        assert one["tag"] not in ("iframe", "object", "embed", "img", "image", "form")
        assert "src" not in attrs
        assert not any(key.startswith("on") for key in attrs)
        target = attrs.get("href", attrs.get("xlink:href", "#"))
        assert target.startswith("#") or target == "data:," or one["tag"] == "a"
    style = page.one("style")["text"]
    assert "@import" not in style
    assert "url(" not in style


def test_the_policy_lets_nothing_in(page):
    [policy] = [
        one for one in page.all("meta") if one["attrs"].get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy["attrs"]["content"].startswith("default-src 'none'; style-src 'unsafe-inline'")
    assert "http" not in policy["attrs"]["content"]


def test_no_folder_of_this_machine_is_in_it(tmp_path):
    assert str(tmp_path) not in page_of(written(tmp_path))


def test_names_are_text_wherever_they_stand(tmp_path):
    strategies = f'  - allreduce: {{algorithm: ring, name: "{HOSTILE}"}}\n  # </script><b onclick=x>&amp;\n'
    file = written(tmp_path, name=HOSTILE, strategies=strategies)
    page = Page(page_of(file))
    assert page.open == []
    assert page.one("h1")["text"] == HOSTILE
    assert len(page.all("script")) == 3
    assert page.all("b") == []
    data = json.loads(page.one("script", id="timelines")["text"])
    assert data[0]["name"] == HOSTILE


def test_the_same_comparison_gives_the_same_bytes(text):
    assert page_of(QUICKSTART) == text


# -- figures -------------------------------------------------------------------------------------------


def test_figures_of_others_are_shown_with_their_names_kept_apart():
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><g id="a"/><use href="#a"/></svg>'
    scenario = simpar.load(QUICKSTART)
    page = Page(html(simpar.compare(scenario), scenario, [Figure("One", "a", svg), Figure("Two", "b", svg)]))
    assert [one["text"].strip() for one in page.all("figcaption")] == ["One", "Two"]
    assert [one["attrs"]["id"] for one in page.all("g")] == ["f1-a", "f2-a"]
    assert [one["attrs"]["href"] for one in page.all("use")] == ["#f1-a", "#f2-a"]


def test_a_figure_loses_what_could_run_or_be_fetched():
    svg = (
        b'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" onload="x()">'
        b'<script>x()</script><style>*{fill:red}</style><use xlink:href="https://a.b/c.svg#d"/>'
        b'<path style="fill: #1a1a1a"/></svg>'
    )
    shown = inlined(Figure("t", "<alt>", svg), 1)
    assert "x()" not in shown
    assert "https" not in shown
    assert "red" not in shown
    assert "&lt;alt&gt;" in shown
    assert "var(--ink)" in shown


@pytest.mark.parametrize("data", [b"", b"no svg", b"<html/>"])
def test_what_is_no_figure_is_refused(data):
    with pytest.raises(ValueError, match="is not SVG"):
        inlined(Figure("t", "a", data), 1)


# -- timelines -----------------------------------------------------------------------------------------


def test_the_timeline_is_the_median_step_of_each_strategy(page):
    data = json.loads(page.one("script", id="timelines")["text"])
    by_name = {one["name"]: one for one in data}
    # Two passes of 60 and 120 ms; 8 workers push 102,228,128 bytes to two servers of 3.125 GB/s, and pull.
    step_s = 0.18 + 2 * (8 * 102_228_128 / 2 / 3.125e9 + 5e-6)
    sync = by_name["ps-sync"]
    assert sync["span_ns"] == pytest.approx(step_s * 1e9, rel=1e-6)
    assert len([bar for bar in sync["bars"] if sync["phases"][bar[4]] == "forward"]) == 8
    assert len([bar for bar in sync["bars"] if sync["phases"][bar[4]] == "push gradients"]) == 16
    for one in data:
        for lane, start, length, *_ in one["bars"]:
            assert 0 <= lane < len(one["lanes"])
            assert 0 <= start <= start + length <= one["span_ns"]


def test_bars_of_a_lane_do_not_overlap(page):
    for one in json.loads(page.one("script", id="timelines")["text"]):
        for lane in range(len(one["lanes"])):
            bars = [bar for bar in one["bars"] if bar[0] == lane]
            for before, after in itertools.pairwise(bars):
                assert before[1] + before[2] <= after[1]


def test_a_large_step_is_cut_and_says_by_how_much(tmp_path):
    file = written(tmp_path, workers=64, extra="run: {steps: 2}\n")
    [row] = simpar.compare(file, advise=False).rows
    [shown] = timelines([row])
    # 64 workers, 126 rounds of a ring, and the two passes of each worker: 64 * (126 + 2) bars at least.
    assert len(shown["bars"]) <= MOST_BARS
    said = re.fullmatch(r"(\d+) of (\d+) bars are left out, with \d+ of \d+ lanes; .*", shown["left_out"])
    assert int(said[2]) - int(said[1]) == len(shown["bars"])
    assert int(said[2]) >= 64 * 128
    assert any(bar[7] for bar in shown["bars"])


def test_many_strategies_make_a_page_of_less_than_two_megabytes(tmp_path):
    count = MOST_ROWS + 5
    lines = "".join(
        f"  - allreduce: {{algorithm: ring, name: {'n' * 55}{number:05}}}\n" for number in range(count)
    )
    text = page_of(written(tmp_path, workers=16, extra="run: {steps: 2}\n", strategies=lines))
    assert len(text.encode()) < 2_000_000
    page = Page(text)
    data = json.loads(page.one("script", id="timelines")["text"])
    assert len(data) == MOST_ROWS
    assert sum(len(one["bars"]) for one in data) <= MOST_BARS_IN_ALL
    assert f"The first {MOST_ROWS} of {count} strategies" in page.one("section", id="strategies")["text"]
