"""The section ``variation``: what it takes, and what it says about what it does not take."""

import pytest

import simpar
from simpar.errors import InputError

BASE = """name: varied
model: {{batch: 8, layers: [{{name: a, flops: 1 GFLOP, parameters: 1000000}}]}}
cluster: {{workers: 4, device: {{flops: 1 TFLOP/s}}}}
network: {{bandwidth: 10 Gbit/s}}
strategies: [ps-sync]
variation: {variation}
"""


@pytest.fixture
def load(tmp_path):
    def read(variation, **files):
        for name, text in files.items():
            (tmp_path / f"{name}.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
        file = tmp_path / "varied.yaml"
        file.write_text(BASE.format(variation=variation))
        return simpar.load(file)

    return read


@pytest.fixture
def said(load):
    """Return a function from a section to the problems with it, without the name of the file."""

    def complaints(variation, **files):
        with pytest.raises(InputError) as caught:
            load(variation, **files)
        return [f"{problem.path}: {problem.message}; {problem.fix}" for problem in caught.value.problems]

    return complaints


@pytest.mark.parametrize(
    "compute",
    [
        "{kind: constant, mean: 1.5}",
        "{kind: normal, mean: 1, cv: 0.1}",
        "{kind: lognormal, mean: 1, cv: 2}",
        "{kind: log-normal, mean: 1.0, cv: 0.1}",
        "{kind: exponential, mean: 1}",
        "{kind: exponential, mean: 200 ms, cv: 0.5}",
        "{kind: uniform, mean: 1, cv: 0.5}",
        "{kind: uniform, low: 0.8, high: 1.4}",
        "{kind: pareto, mean: 1, shape: 1.5}",
        "{kind: pareto, mean: 1, cv: 0.3}",
        "{kind: two-point, factor: 5, probability: 0.02}",
        "{kind: two_point, mean: 1, factor: 5, probability: 0.02}",
    ],
)
def test_every_kind_is_read(load, compute):
    assert load(f"{{compute: {compute}}}").variation.compute is not None


def test_a_mean_is_a_factor_or_a_time(load):
    factor = load("{compute: {kind: exponential, mean: 1.5}}").variation.compute.mean
    time = load("{compute: {kind: exponential, mean: 250 ms}}").variation.compute.mean
    assert (factor, factor.in_seconds) == (1.5, False)
    assert (time, time.in_seconds) == (0.25, True)


def test_a_section_without_anything_varies_nothing(load):
    assert load("{}").variation.compute is None


@pytest.mark.parametrize(
    "times", ["1.0\n2\n3e0\n", "\ufeff1\r\n2\r\n3\r\n", "# measured\n 10 ms\n20 ms # slow\n\n30 ms\n"]
)
def test_measured_times_are_read_from_a_file(load, times):
    scenario = load("{compute: {kind: empirical, file: t.txt}}", t=times)
    values = scenario.times["compute"]
    assert [value / values[0] for value in values] == pytest.approx([1, 2, 3])


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        (
            "{compute: {kind: lognormal, cv: 0.1}}",
            "variation.compute: a distribution without a mean needs mean; write 'mean: 1'",
        ),
        (
            "{compute: {kind: normal}}",
            "variation.compute: a normal distribution needs mean and cv; write 'mean: 1' and 'cv: 0.1'",
        ),
        (
            "{compute: {kind: empirical}}",
            "variation.compute: an empirical distribution needs file; write 'file: times.txt'",
        ),
        (
            "{compute: {kind: exponential, mean: 1, cv: 2}}",
            "variation.compute.cv: an exponential time has a cv of 1 at most; write lognormal",
        ),
        (
            "{compute: {kind: pareto, mean: 1, shape: 1}}",
            "variation.compute.shape: a pareto distribution of shape 1 has no mean; write a shape above 1",
        ),
        (
            "{compute: {kind: pareto, mean: 1, shape: 0.5}}",
            "variation.compute.shape: a pareto distribution of shape 0.5 has no mean; write a shape above 1",
        ),
        (
            "{compute: {kind: pareto, shape: 3}}",
            "variation.compute: a distribution without a mean needs mean; write 'mean: 1'",
        ),
        (
            "{compute: {kind: pareto, mean: 1, cv: 0}}",
            "variation.compute.cv: a pareto distribution varies; write constant, or a cv above 0",
        ),
        (
            "{compute: {kind: constant, mean: 1, cv: 0.1}}",
            "variation.compute.cv: 'cv' is no setting of a constant distribution; it takes mean",
        ),
        (
            "{compute: {kind: uniform, low: 1, high: 2, cv: 0.1}}",
            "variation.compute.cv: 'cv' does not go with the rest; write mean and cv, or low and high",
        ),
        (
            "{compute: {kind: uniform, low: 2, high: 1}}",
            "variation.compute.low: low 2 is above high 1; exchange them",
        ),
        (
            "{compute: {kind: normal, mean: 1, cv: 0.5}}",
            "variation.compute.cv: a normal time has a cv of 0.333 at most; write lognormal, which is never "
            "negative",
        ),
        (
            "{compute: {kind: normal, mean: 1, cv: -1}}",
            "variation.compute.cv: -1 is negative; write a number from 0 to 100",
        ),
        (
            "{compute: {kind: gamma, mean: 1}}",
            "variation.compute.kind: unknown distribution 'gamma'; write one of: constant, normal, "
            "lognormal, exponential, uniform, pareto, two-point, empirical",
        ),
        (
            "{compute: {kind: lognorml, mean: 1, cv: 1}}",
            "variation.compute.kind: unknown distribution 'lognorml'; did you mean 'lognormal'?",
        ),
        (
            "{compute: {mean: 1}}",
            "variation.compute.kind: required key 'kind' is missing; write 'kind: lognormal'",
        ),
        (
            "{compute: {kind: exponential, mean: 5 GB}}",
            "variation.compute.mean: '5 GB' is neither a factor nor a time; write 1 for the nominal time, "
            "another factor, or a time like '180 ms'",
        ),
        (
            "{compute: {kind: exponential, mean: 0}}",
            "variation.compute.mean: 0 is not above 0; write a number from 0.001 up to 1e+06",
        ),
        (
            "{link: {kind: exponential, mean: 5 ms}}",
            "variation.link.mean: '5 ms' is a time, and link times differ from message to message; write a "
            "factor: 1 for the nominal time",
        ),
        (
            "{stragglers: [{worker: 4, factor: 2}]}",
            "variation.stragglers[0].worker: there is no worker 4; write 0 to 3",
        ),
        (
            "{stragglers: [{factor: 2}]}",
            "variation.stragglers[0]: every worker slow for ever is a slower device; write 'worker: 3', or "
            "'probability: 0.02'",
        ),
        (
            "{stragglers: [{worker: 1, factor: 2, steps: 3}]}",
            "variation.stragglers[0].steps: 'steps' does nothing without 'probability'; add 'probability: "
            "0.02' or remove it",
        ),
        (
            "{stragglers: [{worker: 1}]}",
            "variation.stragglers[0].factor: required key 'factor' is missing; write 'factor: 2'",
        ),
        (
            "{replications: 0}",
            "variation.replications: 0 is zero, and may not be; write a whole number from 1 to 10000",
        ),
        (
            "{speed: 3}",
            "variation.speed: unknown key 'speed'; write one of: compute, link, server, stragglers, "
            "replications",
        ),
    ],
)
def test_one_mistake_is_one_line(said, section, problem):
    assert said(section) == [problem]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("1\nfast\n", "{}t.txt:2:1: 'fast' is not a time; write one time above zero a line"),
        ("1\n-3\n", "{}t.txt:2:1: '-3' is not above zero and finite; write one time above zero a line"),
        ("1\n0\n", "{}t.txt:2:1: '0' is not above zero and finite; write one time above zero a line"),
        (
            "1\n5 ms\n",
            "{}t.txt:2:1: '5 ms' has a unit, and others have none; write one time above zero a line",
        ),
        (
            "1\n1e-320\n",
            "{}t.txt:2:1: '1e-320' is less than 1e-12, next to nothing; write one time above zero a line",
        ),
    ],
)
def test_a_wrong_line_of_a_file_of_times_is_named_as_one_opens_it(load, tmp_path, text, problem):
    with pytest.raises(InputError) as caught:
        load("{compute: {kind: empirical, file: t.txt}}", t=text)
    assert [str(one) for one in caught.value.problems] == [problem.format(f"{tmp_path}/")]


def test_wrong_lines_of_a_file_of_times_that_are_not_shown_are_counted(load):
    with pytest.raises(InputError) as caught:
        load("{compute: {kind: empirical, file: t.txt}}", t="fast\n" * 25 + "1\n")
    *shown, last = caught.value.problems
    assert [problem.line for problem in shown] == list(range(1, 21))
    assert (last.line, last.message) == (25, "5 more lines are wrong, the last of them this one")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "variation.compute.file: 't.txt' holds no times; write one time above zero a line"),
        ("# nothing\n", "variation.compute.file: 't.txt' holds no times; write one time above zero a line"),
        (b"\xff\xfe\x00", "variation.compute.file: 't.txt' is not text; write one time a line"),
    ],
)
def test_a_file_without_times_is_refused(said, text, problem):
    assert said("{compute: {kind: empirical, file: t.txt}}", t=text) == [problem]


def test_a_file_that_is_not_there_is_said(said):
    assert said("{compute: {kind: empirical, file: nowhere.txt}}") == [
        "variation.compute.file: 'nowhere.txt' is not a file; give its path from the folder of this file"
    ]


def test_all_mistakes_are_said_at_once(said):
    found = said(
        "{compute: {kind: pareto, mean: 1, shape: 0.9}, link: {kind: normal, mean: 1}, replications: x}"
    )
    assert len(found) == 3
