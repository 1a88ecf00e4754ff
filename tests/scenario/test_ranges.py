"""Ranges of whole numbers, as an axis has them."""

import pytest

from simpar.errors import InputError
from simpar.scenario.ranges import MOST_VALUES, whole_range


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("8", [8]),
        ("1,2,4,8", [1, 2, 4, 8]),
        ("1..4", [1, 2, 3, 4]),
        ("1:4", [1, 2, 3, 4]),
        ("1:33:8", [1, 9, 17, 25, 33]),
        ("1:64:x2", [1, 2, 4, 8, 16, 32, 64]),
        ("1:100:x10", [1, 10, 100]),
        ("1:99:x10", [1, 10]),
        (" 1 , 2..3 , 8:16:x2 ", [1, 2, 3, 8, 16]),
        ("5..5", [5]),
        (f"1..{MOST_VALUES}", list(range(1, MOST_VALUES + 1))),
    ],
)
def test_a_range_stands_for_its_values(text, values):
    assert whole_range(text, "--scale") == values


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has an empty value"),
        ("1,,2", "has an empty value"),
        ("0:8", "0 is less than 1"),
        ("-1:8", "'-1:8' is not a range of whole numbers"),
        ("1.5:8", "'1.5:8' is not a range of whole numbers"),
        ("1:1e9:1", "'1:1e9:1' is not a range of whole numbers"),
        ("1:8:x", "'1:8:x' is not a range of whole numbers"),
        ("1:2:3:4", "'1:2:3:4' is not a range of whole numbers"),
        ("\u0661:\u0668", "is not a range of whole numbers"),
        ("1" * 40, "is not a range of whole numbers"),
        ("1:64:x1", "1:64:x1 never ends"),
        ("1:64:x0", "1:64:x0 never ends"),
        ("0:64:x2", "0:64:x2 never ends"),
        ("1:64:0", "1:64:0 never ends"),
        ("8:1", "8:1 goes down"),
        ("4,2", "2 comes after 4; write them rising: 2,4"),
        ("2,2", "2 is given twice"),
        ("1:4,4:8", "4 is given twice"),
        ("1:1000000000:1", "has too many values"),
        (f"1..{MOST_VALUES + 1}", "has too many values"),
        (f"1..{MOST_VALUES},{MOST_VALUES + 1}", "has 10,001 values"),
    ],
)
def test_what_is_no_rising_range_is_refused_in_one_line(text, said):
    with pytest.raises(InputError) as refused:
        whole_range(text, "--scale")

    (problem,) = refused.value.problems
    assert said in str(problem)
    assert str(problem).startswith("--scale: ")
    assert problem.fix
