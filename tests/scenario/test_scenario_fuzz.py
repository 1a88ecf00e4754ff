"""Whatever is in the file, load gives a scenario or an InputError of single lines."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simpar.errors import InputError
from simpar.scenario import Scenario, load

VALID = """\
name: fuzz
model: {layers: [{name: a, flops: 1 GFLOP, parameters: {w: 5}}, {name: b, inputs: [a]}], batch: 64}
cluster: {workers: 2, device: {forward: 60 ms, backward: 120 ms}, speed: [1, 0.5], server: {threads: 2}}
network: {bandwidth: 25 Gbit/s, latency: 5 us, sharing: fair}
strategies: [single, ps-sync: {servers: 2}, allreduce: {overlap: true, bucket: 25 MiB}, pipeline: ]
run: {steps: 5}
"""
PIECES = [
    *"{}[]:,-?'\"&*!%@`|>#~",
    *("{}", "[]", "''", "null", "true", "0", "-1", "5", "1e400", ".nan", ".inf", "0x1f", "9" * 20, "<<"),
    *("x", "name", "kind", "model", "layers", "batch", "global_batch", "preset", "profile", "flops", "speed"),
    *("forward", "backward", "device", "v100", "workers", "strategies", "ps-sync", "ps-ssp", "run", "steps"),
    *("5\u00a0us", "25\u202eGb", "\ue000", "\x85", "\u2028"),
]
PATHS = [
    *("model", "model.layers[0]", "model.layers[a].flops", "cluster.device.x", "cluster.speed"),
    *("cluster.speed[0]", "network", "strategies", "strategies[0]", "strategies[1].servers"),
    "strategies[single]",
]
FUZZ = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def survives(tmp_path):
    file = tmp_path / "s.yaml"

    def check(raw, **options):
        file.write_bytes(raw)
        try:
            found = load(file, **options).source
        except InputError as error:
            found = error
        for problem in getattr(found, "problems", ()):
            assert str(problem).isprintable()
            assert problem.message
        assert not isinstance(found, InputError) or found.problems

    return check


def test_the_text_that_is_mutated_is_valid(tmp_path):
    (tmp_path / "s.yaml").write_text(VALID)
    assert isinstance(load(tmp_path / "s.yaml"), Scenario)


@FUZZ
@given(raw=st.binary(max_size=200))
def test_any_bytes(survives, raw):
    survives(raw)


@FUZZ
@given(pieces=st.lists(st.sampled_from([*PIECES, "\n", "\n  ", " ", ": "]), max_size=40))
def test_any_pieces_of_yaml(survives, pieces):
    survives("".join(pieces).encode())


@FUZZ
@given(data=st.data())
def test_any_mutation_of_a_valid_file(survives, data):
    text = VALID
    for _ in range(data.draw(st.integers(1, 4))):
        words = text.split(" ")
        at = data.draw(st.integers(0, len(words) - 1))
        words[at] = data.draw(st.sampled_from(PIECES) | st.text(max_size=5))
        text = " ".join(words)
    survives(text.encode("utf-8", "surrogatepass"))


@FUZZ
@given(
    overrides=st.lists(
        st.tuples(
            st.text(max_size=10) | st.sampled_from(PATHS),
            st.text(max_size=10) | st.sampled_from(PIECES),
        ),
        max_size=3,
    )
)
def test_any_overrides(survives, overrides):
    survives(VALID.encode(), set=overrides)
