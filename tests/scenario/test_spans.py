"""Values of an axis: lists, ranges of numbers and of quantities, and what is none."""

import pytest

from simpar.errors import InputError
from simpar.scenario.spans import expand, number_of, read_values


def values(text):
    return expand(read_values(text, "a.b"), "a.b")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,2,8", [1, 2, 8]),
        ("1:64:x2", [1, 2, 4, 8, 16, 32, 64]),
        ("1..4", [1, 2, 3, 4]),
        ("1:33:16", [1, 17, 33]),
        ("1:10:x3,20", [1, 3, 9, 20]),
        ("0.1:0.5:0.2", [0.1, 0.3, 0.5]),  # exact, where adding floats would give 0.30000000000000004
        ("10 Gbit/s, 25 Gbit/s", ["10 Gbit/s", "25 Gbit/s"]),
        ("1 Gbit/s:100 Gbit/s:x10", ["1 Gbit/s", "10 Gbit/s", "100 Gbit/s"]),
        ("10 us:30 us:10 us", ["10 us", "20 us", "30 us"]),
        ("500 us:2 ms:500 us", ["500 us", "1000 us", "1500 us", "2000 us"]),
        ("100 Mbit/s:10 Gbit/s:x10", ["100 Mbit/s", "1000 Mbit/s", "10000 Mbit/s"]),
        ("true,false", [True, False]),
        ("v100,h100", ["v100", "h100"]),
        ("{forward: 1 ms, backward: 2 ms},v100", [{"forward": "1 ms", "backward": "2 ms"}, "v100"]),
        ("'a,b',c", ["'a,b'", "c"]),
        ("[1, 2],[3]", [[1, 2], [3]]),
    ],
)
def test_values_are_read(text, expected):
    assert values(text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no values"),
        ("1,,2", "has an empty value"),
        ("1:8:x1", "never ends"),
        ("0:8:x2", "never ends"),
        ("1:8:0", "never ends"),
        ("1:8:-1", "never ends"),
        ("1 us:8 us:x0.5", "never ends"),
        ("8:1", "goes down"),
        ("1 us:5 us", "has no step"),
        ("0.5:1", "has no step"),
        ("1:5 us:x2", "without a unit"),
        ("1 us:5 us:2", "without a unit"),
        ("1 us:5 us:x2 us", "factor with a unit"),
        ("1 us:5 GB:x2", "mixes units"),
        ("1 Gb:8 Gb:x2", r"write '1 Gbit/s' \(bits\) or '1 GB/s' \(bytes\)"),
        ("1 parsec:8 parsec:x2", "unknown unit 'parsec'"),
        ("1:2:3:4", "is not a range"),
        ("1:1e400", "too long"),
        ("1..100000", "more than 10,000 values"),
        ("1:1e9:x1.0001", "more than 10,000 values"),
        ("1,2,1", "'1' is given twice"),
        ("[1", "not YAML"),
        ("1,\x07", "printable"),
    ],
)
def test_what_is_no_list_of_values_is_said_in_one_line(text, said):
    with pytest.raises(InputError, match=said) as refused:
        values(text)
    (problem,) = refused.value.problems
    assert (problem.file, problem.path) == ("--vary", "a.b")
    assert "\n" not in str(problem)


def test_a_range_is_sampled_between_its_ends():
    (whole,), (logs,), (quantity,) = (read_values(t, "a") for t in ("1..4", "1:100:x10", "10 us:20 us:1 us"))

    assert [whole.at(share) for share in (0.0, 0.24, 0.26, 0.999)] == [1, 1, 2, 4]
    # a whole range of a factor is uniform in the logarithm of [1, 101): its middle is sqrt(101) = 10.05
    assert logs.at(0.5) == 10
    assert quantity.at(0.5) == "15 us"


@pytest.mark.parametrize(
    ("value", "number"),
    [("8 Gbit/s", 1e9), ("5 us", 5e-6), (3, 3.0), (0.5, 0.5), (True, None), ("v100", None), ({}, None)],
)
def test_numbers_are_in_si_units(value, number):
    assert number_of(value) == number
