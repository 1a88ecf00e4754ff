"""Combinations that cannot be: each is one line with its place, the rule, and the nearest values that can."""

import pytest

import simpar
from simpar.errors import InputError

FILE = """\
name: bad
model: {{preset: mlp, shape: {{sizes: [10, 8, 4, 1]}}, batch: 4, learning_rate: 0.1}}
data: {{set: regression}}
cluster: {{workers: 4, device: {{flops: 1 GFLOP/s}}}}
network: {{bandwidth: 1 Gbit/s}}
strategies: [{}]
"""


@pytest.mark.parametrize(
    ("strategy", "path", "said", "fix"),
    [
        ("pipeline: {stages: 4}", "stages", "4 stages and 3 layers", "write stages: 3 or fewer"),
        ("pipeline: {stages: 5}", "stages", "5 stages on 4 workers", "write 4 or fewer"),
        (
            "tensor: {devices: 3}",
            "devices",
            "8 outputs of fc1 do not divide by 3 devices",
            "write devices: 1",
        ),
        ("ps-sync: {backup_workers: 4}", "backup_workers", "4 of 4 workers are backups", "write at most 3"),
        ("ps-sync: {servers: 0}", "servers", "0 is zero", "write a whole number from 1"),
        ("ps-async: {trigger: {count: 9}}", "trigger.count", "9 pushes never come", "write at most 4"),
        ("ps-async: {trigger: {count: 9}, window: 2}", "trigger.count", "9 pushes never", "write at most 8"),
        ("ensemble: {combine: vote}", "combine", "a vote needs classes to vote for", "write mean or sum"),
        ("ps-sync: {update: {symmetric: true}}", "update.symmetric", "8 x 10", "make it 8 x 8 or 10 x 10"),
        ("ps-sync: {servers: 9, placement: replicated}", "servers", "9 servers with a copy", "at most 4"),
        ("pipeline: {schedule: interleaved, stages: 3}", "", "2 chunks of 3 stages", "write stages: 1"),
    ],
)
def test_what_cannot_be_names_the_rule_and_the_nearest_values(tmp_path, strategy, path, said, fix):
    file = tmp_path / "bad.yaml"
    file.write_text(FILE.format(strategy))
    with pytest.raises(InputError) as caught:
        simpar.compare(file)
    [problem] = caught.value.problems
    assert problem.path == ("strategies[0]." + path).rstrip(".")
    assert said in problem.message
    assert fix in problem.fix
    assert problem.line == 6
    assert problem.col >= 14
