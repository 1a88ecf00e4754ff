"""The stream of samples: every record once an epoch, the same whoever takes which stretch."""

import numpy as np
import pytest

from simpar.execute.sampling import Stream


@pytest.mark.parametrize("records", [1, 2, 7, 50])
def test_every_record_comes_once_an_epoch(records):
    stream = Stream(records, 5)
    for epoch in range(12):
        assert sorted(stream.rows(epoch * records, records)) == list(range(records))


def test_epochs_differ_and_seeds_do():
    one, other = Stream(100, 1), Stream(100, 2)
    assert (one.rows(0, 100) != one.rows(100, 100)).any()
    assert (one.rows(0, 100) != other.rows(0, 100)).any()


@pytest.mark.parametrize("cut", [1, 3, 8, 25, 50])
def test_stretches_join_to_the_whole_across_epochs(cut):
    whole = Stream(7, 3).rows(4, 50)
    stream = Stream(7, 3)
    parts = [stream.rows(4 + begin, min(cut, 50 - begin)) for begin in range(0, 50, cut)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_it_can_go_back_to_an_epoch_that_it_has_forgotten():
    stream = Stream(5, 0)
    first = stream.rows(0, 5)
    stream.rows(0, 5 * 40)
    np.testing.assert_array_equal(stream.rows(0, 5), first)


def test_nothing_is_an_empty_stretch():
    assert Stream(5, 0).rows(3, 0).shape == (0,)


def test_there_must_be_records():
    with pytest.raises(ValueError, match="at least one record"):
        Stream(0, 0)
