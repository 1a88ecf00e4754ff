"""Links that simpar ships, against what their sources say, and the refusal of links without a source."""

import datetime

import pytest
from hardware_tables import FIGURE, shipped_text, table_text

from simpar.errors import InputError
from simpar.hardware import link_table, load_links
from simpar.hardware.links import read_links
from simpar.scenario.presets import LINK_PRESETS

LINKS = load_links()


def _table(**changes):
    """Return the text of a table with one sound link, changed at ``rate__url`` and the like."""
    entry = {
        "name": "Toy",
        "rate": {**FIGURE, "value": "8 Gbit/s"},
        "efficiency": {**FIGURE, "value": 0.5},
        "latency": {**FIGURE, "value": "5 us"},
    }
    return table_text("links", entry, changes)


def test_presets_are_the_names_in_the_data():
    assert tuple(LINKS) == LINK_PRESETS


def test_every_number_says_where_it_comes_from_and_when_it_was_checked():
    rows = link_table()
    assert len(rows) == 3 * len(LINKS) == shipped_text("links.yaml").count(" value: ")
    for row in rows:
        assert row.source
        assert row.url.startswith("https://")
        assert datetime.date.fromisoformat(row.checked) >= datetime.date(2020, 1, 1)
        assert {"rate": "B/s", "efficiency": "", "latency": "s"}[row.figure] == row.unit


@pytest.mark.parametrize("gbit", [1, 10, 25, 40, 50, 100, 200, 400])
def test_ethernet_is_as_fast_as_its_name(gbit):
    assert LINKS[f"ethernet-{gbit}"].rate.value == gbit * 1e9 / 8


@pytest.mark.parametrize(("name", "lane_gbit"), [("edr", 25), ("hdr", 50), ("ndr", 100)])
def test_infiniband_is_four_lanes(name, lane_gbit):
    assert LINKS[f"infiniband-{name}"].rate.value == 4 * lane_gbit * 1e9 / 8


@pytest.mark.parametrize(("generation", "transfers"), [(3, 8e9), (4, 16e9), (5, 32e9)])
def test_pci_express_is_sixteen_lanes_after_encoding(generation, transfers):
    rate = 16 * transfers * 128 / 130 / 8
    assert LINKS[f"pcie-{generation}"].rate.value == pytest.approx(rate, rel=1e-4)


@pytest.mark.parametrize(("generation", "links", "each"), [(2, 6, 25), (3, 12, 25), (4, 18, 25), (5, 18, 50)])
def test_nvlink_is_its_links_in_one_direction(generation, links, each):
    """NVIDIA states 300, 600, 900 and 1800 GB/s for V100, A100, H100 and B200, both directions together."""
    rate = LINKS[f"nvlink-{generation}"].rate.value
    assert rate == links * each * 1e9
    assert 2 * rate == {2: 300e9, 3: 600e9, 4: 900e9, 5: 1800e9}[generation]


@pytest.mark.parametrize(
    ("key", "share"),
    [
        # 1500 bytes less 20 of IP and 32 of TCP; 38 of preamble, header, checksum and gap around them
        ("ethernet-10", (1500 - 20 - 32) / (1500 + 38)),
        # Mellanox community: 97 Gbit/s; S. Bekman: 193.72 Gbit/s on an adapter of 200
        ("ethernet-100", 97 / 100),
        ("ethernet-200", 193.72 / 200),
        # linux-rdma/perftest issue 225: 11728.47 MB/s of 2^20 bytes; openucx/ucx issue 8851: 23 GB/s
        ("infiniband-edr", 11728.47 * 2**20 * 8 / 100e9),
        ("infiniband-hdr", 23 / 25),
        # gearshifft pull request 82; nvbandwidth issue 42; S. Bekman with nvbandwidth
        ("pcie-3", 12150.7 / 15754),
        ("pcie-4", 25.13 / 31.508),
        ("pcie-5", 55.43 / 63.015),
        # Dell with p2pBandwidthLatencyTest on V100; S. Bekman with it on A100, H100 and GB200
        ("nvlink-2", (47.88 + 47.9 + 47.93) / 150),
        ("nvlink-3", 274 / 300),
        ("nvlink-4", 376 / 450),
        ("nvlink-5", 746 / 900),
    ],
)
def test_an_efficiency_is_what_was_measured(key, share):
    link = LINKS[key]
    assert link.efficiency.value == pytest.approx(share, abs=0.0006)
    assert "Assumed" not in link.efficiency.source


@pytest.mark.parametrize("family", ["ethernet", "infiniband", "pcie", "nvlink"])
def test_a_newer_generation_carries_more_and_is_no_later(family):
    links = [link for key, link in LINKS.items() if key.startswith(family)]
    assert [link.bytes_per_s for link in links] == sorted({link.bytes_per_s for link in links})
    latencies = [link.latency.value for link in links]
    assert latencies == sorted(latencies, reverse=True)


def test_an_assumed_number_says_so_in_its_first_word():
    assumed = [(row.preset, row.figure) for row in link_table() if "not measured" in row.source]
    assert all(row.source.startswith("Assumed") for row in link_table() if "not measured" in row.source)
    assert ("ethernet-1", "latency") in assumed
    assert ("ethernet-10", "latency") not in assumed


def test_a_sound_table_is_read_in_si():
    toy = read_links(_table(), "toy.yaml")["toy"]
    assert (toy.key, toy.name) == ("toy", "Toy")
    assert (toy.rate.value, toy.rate.unit, toy.rate.text) == (1e9, "B/s", "8 Gbit/s")
    assert (toy.latency.value, toy.latency.unit) == (5e-6, "s")
    assert toy.bytes_per_s == 0.5e9


@pytest.mark.parametrize("missing", ["source", "url", "checked"])
@pytest.mark.parametrize("figure", ["rate", "efficiency", "latency"])
def test_a_number_without_provenance_is_refused(figure, missing):
    with pytest.raises(InputError) as caught:
        read_links(_table(**{f"{figure}__{missing}": None}), "toy.yaml")
    (problem,) = caught.value.problems
    assert (problem.file, problem.path) == ("toy.yaml", f"links.toy.{figure}")
    assert problem.message == f"has no {missing}"


@pytest.mark.parametrize(
    ("changes", "path", "said"),
    [
        ({"rate__value": "8 Gb"}, "rate.value", "not a rate"),
        ({"rate__value": "8 us"}, "rate.value", "a duration"),
        ({"rate__value": 0}, "rate.value", "not above zero"),
        ({"latency__value": "5 MB"}, "latency.value", "a size"),
        ({"efficiency__value": 1.1}, "efficiency.value", "not a share"),
        ({"latency": None}, "latency", "not a mapping"),
        ({"name": None}, "", "has no name"),
        ({"colour": "green"}, "colour", "unknown key"),
    ],
)
def test_a_damaged_entry_is_refused_where_it_stands(changes, path, said):
    with pytest.raises(InputError) as caught:
        read_links(_table(**changes), "toy.yaml")
    at = ".".join(part for part in ("links.toy", path) if part)
    assert any(one.path == at and said in one.message for one in caught.value.problems)


def test_all_problems_are_told_at_once():
    with pytest.raises(InputError) as caught:
        read_links(_table(rate__url=None, latency__source=None, efficiency__value=2), "toy.yaml")
    assert len(caught.value.problems) == 3
