"""What a host makes of the outputs of several devices."""

from itertools import permutations

import numpy as np
import pytest

from simpar.errors import ProgramError
from simpar.execute.predictions import Output, combined


def outputs(count, records=2, firsts=None):
    """Return outputs of *count* workers, of 3 classes; by default of the same records."""
    rng = np.random.default_rng(5)
    return [
        Output(worker, ((firsts[worker] if firsts else 0, records, 1),), rng.normal(size=(records, 3)))
        for worker in range(count)
    ]


def test_parts_stand_in_the_order_of_the_records_whoever_came_first_and_whoever_they_are():
    """The second worker has the first records here."""
    one, other, third = outputs(3, firsts=[2, 0, 4])
    for came in permutations([one, other, third]):
        wanted = np.concatenate([other.values, one.values, third.values])
        assert (combined(came, "concat") == wanted).all()


@pytest.mark.parametrize("how", ["mean", "sum", "vote"])
def test_the_order_in_which_outputs_came_does_not_change_a_bit(how):
    given = outputs(4)
    first = combined(given, how)
    for came in permutations(given):
        assert combined(came, how).tobytes() == first.tobytes()


def test_votes_of_sequences_are_counted_token_by_token():
    """Three voters on a sample of two tokens: classes 1, 1, 2 for the first, 0, 2, 1 for the second."""
    classes = [(1, 0), (1, 2), (2, 1)]
    given = [Output(n, ((0, 1, 1),), np.eye(3)[list(one)][np.newaxis]) for n, one in enumerate(classes)]
    assert combined(given, "vote").tolist() == [[1, 0]]


def test_a_way_that_nobody_knows_is_refused():
    with pytest.raises(ProgramError, match="'median'"):
        combined(outputs(2), "median")
