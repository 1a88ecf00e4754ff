"""Which pushes a server waits for: what may be written, and the exact line for what may not."""
# ruff: noqa: E501 (tables of expected lines)

import json
import subprocess
import sys

import pytest

from simpar.errors import InputError
from simpar.scenario import json_schema, load

TEXT = """\
model: {{preset: resnet-50, batch: 64}}
cluster: {{workers: 8, device: {{forward: 60 ms, backward: 120 ms}}}}
network: {{bandwidth: 25 Gbit/s}}
strategies:
  - {strategy}
"""


@pytest.fixture
def read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def load_one(strategy, **options):
        (tmp_path / "s.yaml").write_text(TEXT.format(strategy=strategy))
        return load("s.yaml", **options)

    return load_one


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("ps-async: {trigger: drain}", {"drain": True, "count": None, "timeout": None}),
        ("ps-async: {trigger: {drain: true}}", {"drain": True, "count": None, "timeout": None}),
        ("ps-async: {trigger: {count: 8}}", {"drain": None, "count": 8, "timeout": None}),
        ("ps-async: {trigger: {timeout: 5 ms}}", {"drain": None, "count": None, "timeout": 0.005}),
        ("ps-async: {trigger: {timeout: 5 ms, count: 4}}", {"drain": None, "count": 4, "timeout": 0.005}),
    ],
)
def test_triggers_that_are_fine(read, strategy, expected):
    (found,) = read(strategy).strategies
    assert found.options.trigger.model_dump() == expected


def test_a_trigger_can_be_set(read):
    scenario = read("ps-async: {trigger: {count: 2}}", set={"strategies[0].trigger.count": 4})
    assert scenario.strategies[0].options.trigger.count == 4
    scenario = read("ps-async", set={"strategies[0].trigger": "drain"})
    assert scenario.strategies[0].options.trigger.drain is True
    scenario = read("ps-sync", set={"strategies[0].backup_workers": 7})
    assert scenario.strategies[0].options.backup_workers == 7


@pytest.mark.parametrize(
    ("strategy", "said"),
    [
        ("ps-async: {trigger: {count: 9}}", "5:33: strategies[0].trigger.count: 9 pushes never come together: 8 workers wait for their replies; write at most 8"),
        ("ps-async: {trigger: {timeout: 1 ms, count: 9}}", "5:48: strategies[0].trigger.count: 9 pushes never come together: 8 workers wait for their replies; write at most 8"),
        ("ps-async: {trigger: {count: 0}}", "5:33: strategies[0].trigger.count: 0 is zero, and may not be; write a whole number from 1 to 100000"),
        ("ps-async: {trigger: {}}", "5:25: strategies[0].trigger: needs one of 'count', 'drain' and 'timeout'; write 'trigger: {count: 4}'"),
        ("ps-async: {trigger: {drain: false}}", "5:33: strategies[0].trigger.drain: false is no trigger; write true, or remove 'trigger'"),
        ("ps-async: {trigger: {drain: true, count: 2}}", "5:39: strategies[0].trigger.count: 'drain' and 'count' are both given; keep one of them"),
        ("ps-async: {trigger: {drain: true, timeout: 1 ms}}", "5:39: strategies[0].trigger.timeout: 'drain' and 'timeout' are both given; keep one of them"),
        ("ps-async: {trigger: {timeout: -5 ms}}", "5:35: strategies[0].trigger.timeout: '-5 ms' is negative; write a duration from 1e-12 s to 1e9 s"),
        ("ps-async: {trigger: {timeout: 0 ms}}", "5:35: strategies[0].trigger.timeout: '0 ms' is zero, and may not be; write a duration from 1e-12 s to 1e9 s"),
        ("ps-async: {trigger: drian}", "5:25: strategies[0].trigger: unknown trigger 'drian'; did you mean 'drain'?"),
        ("ps-async: {trigger: 4}", "5:25: strategies[0].trigger: 4 is not a mapping; write 'trigger: {count: 4}'"),
        ("ps-async: {trigger: {cuont: 4}}", "5:26: strategies[0].trigger.cuont: unknown key 'cuont'; did you mean 'count'?"),
        ("ps-async: {softsync: 9}", "5:26: strategies[0].softsync: 8 workers / 9 is less than one push an update; write at most 8"),
        ("ps-async: {softsync: 2, trigger: drain}", "5:16: strategies[0].softsync: 'trigger' and 'softsync' are both given; keep one of them"),
        ("ps-async: {backup_workers: 1}", "5:16: strategies[0].backup_workers: 'backup_workers' is an option of ps-sync, not of ps-async; remove it"),
        ("ps-async: {late: finish}", "5:16: strategies[0].late: 'late' is an option of ps-sync, not of ps-async; remove it"),
        ("ps-sync: {trigger: drain}", "5:15: strategies[0].trigger: 'trigger' is an option of ps-async, not of ps-sync; remove it"),
        ("ps-sync: {softsync: 2}", "5:15: strategies[0].softsync: 'softsync' is an option of ps-async, not of ps-sync; remove it"),
        ("ps-ssp: {trigger: drain}", "5:14: strategies[0].trigger: 'trigger' is not modelled by this version; remove it"),
        ("allreduce: {priority: true}", "5:17: strategies[0].priority: 'priority' is an option of ps-sync, ps-async, ps-ssp, not of allreduce; remove it"),
        ("ps-sync: {backup_workers: 8}", "5:31: strategies[0].backup_workers: 8 of 8 workers are backups, so that a step waits for nobody; write at most 7"),
        ("ps-sync: {backup_workers: -1}", "5:31: strategies[0].backup_workers: -1 is less than 0; write a whole number from 0 to 100000"),
        ("ps-sync: {backup_workers: 1, late: cancle}", "5:40: strategies[0].late: unknown late 'cancle'; did you mean 'cancel'?"),
        ("ps-sync: {priority: 1}", "5:25: strategies[0].priority: 1 is not true or false; write true or false"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(read, strategy, said):
    with pytest.raises(InputError) as caught:
        read(strategy)
    assert [str(problem) for problem in caught.value.problems] == [f"s.yaml:{said}"]


def test_the_schema_knows_the_short_form_of_a_trigger():
    trigger = json_schema()["$defs"]["PsAsyncOptions"]["properties"]["trigger"]
    assert {"enum": ["drain"]} in trigger["anyOf"]
    assert {"$ref": "#/$defs/TriggerSpec"} in trigger["anyOf"]


def test_every_command_takes_them(tmp_path):
    """Compare, explain and the timeline run on a strategy that gathers, and name it."""
    file = tmp_path / "s.yaml"
    file.write_text(TEXT.format(strategy="ps-async: {softsync: 2}"))
    done = subprocess.run(
        [sys.executable, "-m", "simpar", "explain", str(file), "ps-async", "--json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["step_s"] > 0
