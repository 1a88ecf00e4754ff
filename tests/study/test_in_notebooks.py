"""Studies in a notebook: small tables, escaped."""

import simpar
from simpar.result import Comparison, Row
from simpar.result.notebook import MOST_ROWS
from simpar.study.axes import Axis
from simpar.study.machines import Machines
from simpar.study.points import Point
from simpar.study.scale import Scaling
from simpar.study.whatif import Study

LABELS = {"ring": "allreduce <ring>", "ps": "ps-sync"}


def point(path, value, ring, ps=None):
    """Return a point where the two strategies make so many images a second; ps fits only with a number."""
    figures = {"kind": "ps", "rank": 1, "workers": 4, "memory_bytes": 2e6, "memory_limit_bytes": None}
    rows = [
        Row(name=name, label=LABELS[name], fits=bool(rate), **figures)
        if rate is None
        else Row(
            name=name,
            label=LABELS[name],
            fits=True,
            step_s=100 / rate,
            samples_per_s=rate,
            speedup=2.0,
            **figures,
        )
        for name, rate in (("ring", ring), ("ps", ps))
    ]
    facts = {"unit": "images", "workers": value if path == "cluster.workers" else 4}
    return Point({path: value}, Comparison("s", 0, "none", rows, facts, []), {})


def row(*cells, left=1):
    """Return a line of a table, the first *left* cells of which are texts."""
    head, *rest = cells
    texts = "".join(f"<td>{cell}</td>" for cell in rest[: left - 1])
    figures = "".join(f'<td style="white-space: nowrap">{cell}</td>' for cell in rest[left - 1 :])
    return f'<tr><th scope="row">{head}</th>{texts}{figures}</tr>'


def test_a_study_of_workers_shows_a_line_a_strategy():
    path = "cluster.workers"
    points = (point(path, 4, 200.0, 50.0), point(path, 8, 400.0))
    shown = Scaling("<b>", 0, "workers", path, (4, 8), False, 64, points, LABELS)._repr_html_()

    assert "<caption>&lt;b&gt;: images/s</caption>" in shown
    assert '<th scope="col">workers 8</th>' in shown
    # The speedup stays 2.0, so that the four workers more are worth nothing.
    assert row("allreduce &lt;ring&gt;", "200", "400", "at 4 workers") in shown
    assert row("ps-sync", "50", "\u2013", "") in shown


def test_machines_show_a_line_a_device_and_a_strategy_the_fastest_first():
    points = (point("cluster.device", "v100", 50.0), point("cluster.device", "h100", 200.0))
    shown = Machines("s", 0, ("v100", "h100"), points, LABELS, ())._repr_html_()

    # 100 images in 500 ms, and twice one device's rate on four.
    fast = row("h100", "allreduce &lt;ring&gt;", "500 ms", "200", "50.0%", "2 MB", "no price", left=2)
    slow = row("v100", "allreduce &lt;ring&gt;", "2 s", "50", "50.0%", "2 MB", "no price", left=2)
    assert 0 < shown.index(fast) < shown.index(slow)
    assert row("v100", "ps-sync", "no figures", "", "", "", "", left=2) in shown


def test_a_study_of_settings_shows_a_line_a_point_and_who_is_fastest():
    path, values = "network.sharing", ("fair", "<fifo>")
    points = (point(path, "fair", 200.0, 50.0), point(path, "<fifo>", 50.0, 200.0))
    study = Study("s", 0, (Axis(path, values),), "grid", points, LABELS)

    assert repr(study) == "<Study of 's': 2 strategies at 2 points of network.sharing>"
    assert row("fair", "200", "50", "ring") in study._repr_html_()
    assert row("&lt;fifo&gt;", "50", "200", "ps") in study._repr_html_()


def test_a_large_study_says_how_much_is_left_out():
    values = tuple(range(MOST_ROWS + 3))
    points = tuple(point("cluster.workers", value, 100.0) for value in values)
    shown = Study("s", 0, (Axis("cluster.workers", values),), "grid", points, LABELS)._repr_html_()

    assert shown.count("<tr>") == 1 + MOST_ROWS + 1
    assert '<td colspan="4">and 3 more</td>' in shown


def test_an_explanation_shows_its_critical_path(scene):
    """One device alone, its one layer 1 s forward and 2 s backward, does the work of the one worker."""
    shown = simpar.explain(scene("single", workers=1), "single")._repr_html_()

    assert "<caption>single: iteration 2, 3 s</caption>" in shown
    assert shown.count('<th scope="row">') == 2
    assert '<td>w0</td><td>compute</td><td style="white-space: nowrap">1 s</td>' in shown
    assert '<td>w0</td><td>compute</td><td style="white-space: nowrap">2 s</td>' in shown
