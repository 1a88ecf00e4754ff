"""Placement of parameters on servers: laws for every policy, and published imbalances."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpar.workload.placement import POLICIES, loads, place
from simpar.workload.presets_vision import vgg_16

TENSORS = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5000)), max_size=30)
SERVERS = st.integers(1, 9)
LIMIT = st.none() | st.integers(50, 6000)


def tensors_of(layers):
    return [(i, tensor.elements) for i, layer in enumerate(layers) for tensor in layer.tensors]


def imbalance(tensors, servers, policy):
    """Largest load over mean load."""
    held = loads(place(tensors, servers, policy), servers)
    return max(held) * servers / sum(held)


@pytest.mark.parametrize("policy", POLICIES)
@given(TENSORS, SERVERS, LIMIT)
def test_every_element_is_placed_exactly_once(policy, tensors, servers, limit):
    slices = place(tensors, servers, policy, limit)
    reached = [0] * len(tensors)
    for piece in slices:
        assert piece.layer == tensors[piece.tensor][0]
        assert piece.start == reached[piece.tensor], "runs follow each other without gap or overlap"
        assert 1 <= piece.elements <= (limit or 5000)
        assert 0 <= piece.server < servers
        reached[piece.tensor] += piece.elements

    assert reached == [elements for _, elements in tensors]
    assert [piece.tensor for piece in slices] == sorted(piece.tensor for piece in slices)


@given(TENSORS, SERVERS, LIMIT)
def test_sliced_servers_differ_by_at_most_one_element(tensors, servers, limit):
    held = loads(place(tensors, servers, "sliced", limit), servers)

    assert max(held) - min(held) <= 1


@given(TENSORS, SERVERS)
def test_balanced_is_within_the_bound_of_graham(tensors, servers):
    """Largest first is at most 4/3 - 1/(3 m) times the best placement, and so times any other one.

    Source: Graham, SIAM J. Appl. Math. 17(2), 1969. Round robin stands for the other one.
    """
    largest = max(loads(place(tensors, servers, "balanced"), servers))
    other = max(loads(place(tensors, servers, "round_robin"), servers))

    assert 3 * servers * largest <= (4 * servers - 1) * other


def test_names_are_hashed_by_crc_32():
    """CRC-32 of '123456789' is cbf43926, its published check value; of 'a' e8b7be43."""
    tensors, names = [(0, 10), (1, 20)], ["123456789", "a"]
    for servers in (1, 3, 7, 1000):
        placed = place(tensors, servers, "hash", names=names)
        assert [piece.server for piece in placed] == [0xCBF43926 % servers, 0xE8B7BE43 % servers]
        assert [(piece.start, piece.elements) for piece in placed] == [(0, 10), (0, 20)]


def test_remainders_rotate_from_tensor_to_tensor():
    """4 = 2+1+1, then 5 = 1+2+2: the second tensor's extra elements go where the first's did not."""
    slices = place([(0, 4), (1, 5)], 3, "sliced")

    assert [(s.tensor, s.server, s.start, s.elements) for s in slices] == [
        (0, 0, 0, 2),
        (0, 1, 2, 1),
        (0, 2, 3, 1),
        (1, 0, 0, 1),
        (1, 1, 1, 2),
        (1, 2, 3, 2),
    ]
    assert loads(slices, 3) == [3, 3, 3]


def test_parts_without_elements_are_left_out():
    slices = place([(0, 1), (1, 1), (2, 1)], 2, "sliced")

    assert [(s.tensor, s.server) for s in slices] == [(0, 0), (1, 1), (2, 0)]


def test_slices_are_cut_into_pieces_of_equal_size():
    """10 elements on 2 servers in pieces of at most 2: 5 = 2+2+1 on each."""
    slices = place([(7, 10)], 2, "sliced", 2)

    assert [(s.server, s.start, s.elements) for s in slices] == [
        (0, 0, 2),
        (0, 2, 2),
        (0, 4, 1),
        (1, 5, 2),
        (1, 7, 2),
        (1, 9, 1),
    ]


def test_round_robin_takes_turns():
    slices = place([(0, 5), (0, 1), (1, 7), (1, 2)], 3, "round_robin")

    assert [(s.server, s.elements) for s in slices] == [(0, 5), (1, 1), (2, 7), (0, 2)]


def test_round_robin_of_pieces_goes_on_over_tensors():
    slices = place([(0, 5), (1, 3)], 2, "round_robin", 2)

    assert [(s.tensor, s.server, s.elements) for s in slices] == [
        (0, 0, 2),
        (0, 1, 2),
        (0, 0, 1),
        (1, 1, 2),
        (1, 0, 1),
    ]


def test_balanced_takes_the_largest_first():
    """7, 6, 5, 4, 3 on 2 servers by hand: 7 | 6, then 5 to the 6, 4 to the 7, 3 to the first of 11, 11."""
    slices = place([(0, 3), (1, 4), (2, 5), (3, 6), (4, 7)], 2, "balanced")

    assert [s.server for s in slices] == [0, 0, 1, 1, 0]
    assert loads(slices, 2) == [14, 11]


def test_round_robin_puts_all_of_fc6_on_one_server():
    """fc6.weight of VGG-16 alone is 25088 x 4096 of 138 million elements."""
    tensors = tensors_of(vgg_16(4))
    slices = place(tensors, 4, "round_robin")
    [home] = {s.server for s in slices if s.elements == 25088 * 4096}

    assert loads(slices, 4)[home] >= 25088 * 4096
    assert max(loads(slices, 4)) == loads(slices, 4)[home]


@pytest.mark.parametrize(
    ("tensors", "servers", "policy", "limit", "said"),
    [
        ([(0, 1)], 0, "sliced", None, "0 servers"),
        ([(0, -1)], 1, "sliced", None, "negative"),
        ([(0, 1)], 1, "sliced", 0, "0 elements"),
        ([(0, 1)], 1, "striped", None, "'striped'; one of sliced, balanced, round_robin"),
    ],
)
def test_impossible_placements_are_refused(tensors, servers, policy, limit, said):
    with pytest.raises(ValueError, match=said):
        place(tensors, servers, policy, limit)
