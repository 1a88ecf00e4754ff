"""Rows as JSON, as CSV and in the table: intervals where a strategy ran several times."""

import csv
import io
from dataclasses import replace

from simpar.result import BREAKDOWN, Comparison, Interval, Row
from simpar.show import table

FACTS = {"model": "m", "unit": "images", "batch": 1, "workers": 2, "bytes_per_s": None, "steps": 4, "seed": 0}
ONCE = Row(
    name="once",
    kind="allreduce",
    label="allreduce",
    rank=1,
    fits=True,
    workers=2,
    memory_bytes=1e9,
    memory_limit_bytes=None,
    step_s=0.1,
    samples_per_s=20.0,
    speedup=1.5,
    breakdown=dict.fromkeys(BREAKDOWN, 0.0) | {"compute_s": 0.1},
)
OFTEN = replace(ONCE, name="often", rank=2, intervals={"step_s": Interval(0.09, 0.1, 0.125)})


def of(*rows):
    return Comparison("mine", 0, "reference", list(rows), FACTS, [])


def test_json_has_intervals_by_figure_and_null_where_there_was_one_run():
    assert ONCE.to_dict()["intervals"] is None
    assert OFTEN.to_dict()["intervals"] == {"step_s": {"p5": 0.09, "p50": 0.1, "p95": 0.125}}


def test_csv_has_the_percentiles_of_the_step_and_nothing_where_there_was_one_run():
    once, often = csv.DictReader(io.StringIO(of(ONCE, OFTEN).to_csv()))

    assert [once[f"step_s_p{p}"] for p in (5, 50, 95)] == ["", "", ""]
    assert [often[f"step_s_p{p}"] for p in (5, 50, 95)] == ["0.09", "0.1", "0.125"]


def test_the_table_has_a_column_for_intervals_only_where_some_row_has_one():
    said = table.comparison(of(ONCE, OFTEN))

    assert "p5 to p95" in said
    assert "90.0-125.0 ms" in said
    assert "p5 to p95" not in table.comparison(of(ONCE))
