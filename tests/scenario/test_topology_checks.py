"""``network.topology`` and ``network.background``: what does not hold together is said in one line each."""

import json

import pytest

import simpar
from simpar.errors import InputError


def write(tmp_path, topology, strategies=("allreduce",), **more):
    whole = {
        "name": "joined",
        "model": {"batch": 2, "preset": "resnet-50"},
        "cluster": {"workers": 4, "device": "v100"},
        "network": {"bandwidth": "10 Gbit/s", "topology": topology},
        "strategies": list(strategies),
    }
    for section, settings in more.items():
        whole[section] = whole.get(section, {}) | settings
    file = tmp_path / "joined.yaml"
    file.write_text(json.dumps(whole))
    return file


@pytest.fixture
def problems(tmp_path):
    def of(topology, *strategies, **more):
        file = write(tmp_path, topology, strategies or ("allreduce",), **more)
        with pytest.raises(InputError) as caught:
            simpar.load(file)
        return [(problem.path, problem.message, problem.fix) for problem in caught.value.problems]

    return of


def links(*ends, **more):
    return {"kind": "links", "links": [{"between": list(one), **more} for one in ends]}


STAR = [("w0", "s"), ("w1", "s"), ("w2", "s"), ("w3", "s")]


@pytest.mark.parametrize(
    ("topology", "path", "message", "fix"),
    [
        ("torus", "network.topology.kind", "unknown topology 'torus'", "star, tree, ring, links"),
        ({"rack": 4}, "network.topology", "needs a 'kind'", "kind: tree"),
        (links(*STAR, ("w0",)), "network.topology.links[4].between", "names 1 ends, not two", "[w0, s0]"),
        (links(*STAR, ("w0", "s", "t")), "network.topology.links[4].between", "longer than 2", "shorten"),
        ({"kind": "ring", "rack": 4}, "network.topology.rack", "kind ring takes no 'rack'", "remove it"),
        ({"kind": "tree", "uplink": "1 Gbit/s"}, "network.topology", "tree needs 'rack'", "rack: 8"),
        (
            {"kind": "tree", "rack": 2},
            "network.topology",
            "'oversubscription' or 'uplink'",
            "oversubscription: 4",
        ),
        (
            {"kind": "tree", "rack": 2, "oversubscription": 4, "uplink": "1 Gbit/s"},
            "network.topology.uplink",
            "are both given",
            "keep one",
        ),
        (
            {"kind": "tree", "rack": 2, "oversubscription": 0.5},
            "network.topology.oversubscription",
            "0.5 is less than 1",
            "from 1",
        ),
        (
            {"kind": "tree", "rack": 2, "uplink": "0 Gbit/s"},
            "network.topology.uplink",
            "is zero, and may not be",
            "write a rate",
        ),
        (
            {"kind": "tree", "rack": 2, "oversubscription": 2, "background": 1},
            "network.topology.background",
            "1 is more than 0.99",
            "0.99",
        ),
        ({"kind": "links"}, "network.topology", "links needs 'links'", "between"),
        (links(*STAR, bandwidth="0 B/s"), "network.topology.links[0].bandwidth", "is zero", "write a rate"),
        (
            links(*STAR, ("w9", "s")),
            "network.topology.links[4].between[0]",
            "there is no machine 'w9'",
            "switch otherwise",
        ),
        (links(*STAR, ("ps0", "s")), "network.topology.links[4].between[0]", "no machine 'ps0'", "switch"),
        (links(*STAR, ("s", "s")), "network.topology.links[4].between", "joins 's' with itself", "two ends"),
        (
            links(*STAR, ("s", "w0")),
            "network.topology.links[4].between",
            "are joined by another link already",
            "bandwidths together",
        ),
        (
            links(("w0", "s"), ("w1", "s"), ("w2", "t"), ("w3", "t")),
            "network.topology.links",
            "no way from w0 to w2, nor to 1 others",
            "add a link",
        ),
        (links(*STAR[:3]), "network.topology.links", "no way from w0 to w3", "between: [w3, s0]"),
    ],
)
def test_what_is_wrong_is_said_where_it_stands(problems, topology, path, message, fix):
    (found,) = [one for one in problems(topology) if one[0] == path]
    assert message in found[1]
    assert fix in found[2]


def test_servers_need_a_way_too(problems):
    (found,) = problems(links(*STAR), {"ps-sync": {"servers": 2}})
    assert "no way from w0 to ps0, nor to 1 others" in found[1]


def test_several_problems_of_one_topology_come_out_together(problems):
    found = problems(links(("w0", "w0"), ("w8", "s")))
    assert [path for path, *_ in found] == [
        "network.topology.links[0].between",
        "network.topology.links[1].between[0]",
    ]


@pytest.mark.parametrize("background", [1, 1.5, -0.1, "30 %"])
def test_other_traffic_takes_less_than_the_whole_link(problems, background):
    (found,) = problems("star", network={"background": background})
    assert found[0] == "network.background"


def test_formulas_of_collectives_know_only_a_star(problems, tmp_path):
    (found,) = problems("ring", run={"collectives": "closed_form"})
    assert found[0] == "run.collectives"
    assert "messages" in found[2]
    simpar.load(write(tmp_path, "star", run={"collectives": "closed_form"}))


def test_a_ring_has_no_place_for_a_store_and_links_have_one(problems, tmp_path):
    data = {"record_bytes": "1 kB", "store_bandwidth": "1 Gbit/s"}
    (found,) = problems("ring", data=data)
    assert "no place for the store" in found[1]
    (found,) = problems(links(*STAR), data=data)
    assert "no way from w0 to store" in found[1]
    simpar.load(write(tmp_path, links(*STAR, ("store", "s")), data=data))


@pytest.mark.parametrize("topology", ["star", "ring", {"kind": "tree", "rack": 2, "uplink": "9 Gbit/s"}])
def test_a_right_topology_is_taken_as_it_is(tmp_path, topology):
    kind = topology if isinstance(topology, str) else topology["kind"]
    assert simpar.load(write(tmp_path, topology)).network.topology.kind == kind


def test_machines_of_several_devices_are_called_by_their_numbers(tmp_path):
    cluster = {"nodes": 2, "devices_per_node": 2}
    file = write(tmp_path, links(("n0", "s"), ("n1", "s")))
    whole = json.loads(file.read_text())
    del whole["cluster"]["workers"]
    whole["cluster"] |= cluster
    whole["network"]["intra"] = "nvlink-3"
    file.write_text(json.dumps(whole))
    program = simpar.compile(simpar.load(file), "allreduce")
    assert {link.name for link in program.links} >= {"n0>s", "s>n1"}
