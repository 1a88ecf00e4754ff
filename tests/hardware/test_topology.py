"""Which links lie between two machines."""

import pytest

from simpar.hardware.topology import STORE, Graph, Tree, by_name, ring


def names(links):
    return [name for name, _ in links]


def test_machines_of_one_rack_cross_no_uplink_and_others_two():
    tree = Tree(machines=8, rack=4, uplink_bytes_per_s=5.0, servers="spread")
    assert tree.between("w0", "w3") == ()
    assert tree.between("w0", "w4") == (("rack0.up", 5.0), ("rack1.down", 5.0))
    assert tree.between("n7", "n3") == (("rack1.up", 5.0), ("rack0.down", 5.0))


@pytest.mark.parametrize(
    ("servers", "racks"), [("spread", [0, 1, 2, 0, 1]), ("apart", [3, 3, 3, 3, 4])], ids=["spread", "apart"]
)
def test_servers_stand_in_the_racks_by_turns_or_fill_their_own(servers, racks):
    """10 machines in racks of 4 make 3 racks; the last has 2."""
    tree = Tree(machines=10, rack=4, uplink_bytes_per_s=5.0, servers=servers)
    assert [names(tree.between(STORE, f"ps{server}")) for server in range(5)] == [
        [f"rack{rack}.down"] for rack in racks
    ]


def test_what_the_store_sends_comes_down_one_uplink():
    tree = Tree(machines=8, rack=4, uplink_bytes_per_s=5.0, servers="spread")
    assert names(tree.between(STORE, "w6")) == ["rack1.down"]


def test_two_machines_in_a_ring_have_one_link_between_them():
    assert names(ring(["w0", "w1"], 1.0).way("w0", "w1")) == ["w0>w1"]
    assert names(ring(["w0", "w1"], 1.0).way("w1", "w0")) == ["w1>w0"]


def test_a_graph_has_no_way_between_what_is_not_joined():
    graph = Graph([("w0", "s0", 1.0), ("w1", "s1", 1.0)])
    assert graph.hops_to("w0") == {"w0": 0, "s0": 1}
    with pytest.raises(KeyError):
        graph.way("w0", "w1")


def test_every_link_of_a_way_has_the_rate_of_its_own():
    graph = Graph([("w0", "s0", 1.0), ("s0", "s1", 2.0), ("s1", "w1", 3.0)])
    assert graph.way("w0", "w1") == (("w0>s0", 1.0), ("s0>s1", 2.0), ("s1>w1", 3.0))
    assert graph.way("w1", "w0") == (("w1>s1", 3.0), ("s1>s0", 2.0), ("s0>w0", 1.0))


def test_numbers_in_names_count_as_numbers():
    assert sorted(["w10", "w2", "ps0", "s1"], key=by_name) == ["ps0", "s1", "w2", "w10"]


def test_graphs_of_the_same_links_are_equal():
    one, same = (Graph([("w0", "s0", 1.0), ("w1", "s0", 2.0)]) for _ in range(2))
    assert one == same
    assert hash(one) == hash(same)
    assert one != Graph([("w0", "s0", 1.0), ("w1", "s0", 1.0)])
