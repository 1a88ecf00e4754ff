"""Cloud machines that simpar ships, against what their sources say, and the refusal of prices without one."""

import datetime

import pytest
from hardware_tables import FIGURE, shipped_text, table_text

from simpar.errors import InputError
from simpar.hardware import instance_table, load_devices, load_instances, load_links
from simpar.hardware.instances import read_instances
from simpar.scenario.presets import INSTANCE_PRESETS

INSTANCES = load_instances()

PUBLISHED = {
    # AWS briefing of March 2017: GPUs, Gbit/s; S. Ivanov, 2017-03-16: USD/h
    "p2.8xlarge": (8, 10, 7.20),
    "p2.16xlarge": (16, 20, 14.40),
    # J. Barr on P3; AWS Price List, us-east-1, 2026-09-24
    "p3.2xlarge": (1, 10, 3.06),
    "p3.16xlarge": (8, 25, 24.48),
    "g4dn.xlarge": (1, 25, 0.526),
    "g5.xlarge": (1, 10, 1.006),
    # S. Bekman on EFA: 4 x 100 and 32 x 100; Data Receipts, 2026-11-09
    "p4d.24xlarge": (8, 4 * 100, 21.957642),
    "p4de.24xlarge": (8, 4 * 100, 27.44705),
    "p5.48xlarge": (8, 32 * 100, 55.04),
    # Microsoft Learn: 8 x 200 and 8 x 400; Data Receipts, 2026-11-09: 3.3996 and 12.29 a GPU
    "ND96asr_v4": (8, 8 * 200, 8 * 3.3996),
    "ND96isr_H100_v5": (8, 8 * 400, 8 * 12.29),
    # Google: 100; S. Bekman on TCPX: 4 x 200; Cyclenerd, 2026-02-12; Silybench, 2026-09-26: 10.9791 a GPU
    "a2-highgpu-8g": (8, 100, 29.38708),
    "a3-highgpu-8g": (8, 4 * 200, 8 * 10.9791),
}
"""Devices, Gbit/s of the machine, USD per hour."""


def _table(**changes):
    """Return the text of a table with one sound machine, changed at ``price__url`` and the like."""
    entry = {
        "name": "Toy",
        "device": "v100",
        "devices": {**FIGURE, "value": 4},
        "network": {**FIGURE, "value": "8 Gbit/s"},
        "inter": "ethernet-10",
        "intra": "nvlink-2",
        "price": {**FIGURE, "value": "10 USD/h", "region": "moon-1", "stated": "2026-01-30"},
    }
    return table_text("instances", entry, changes)


def test_presets_are_the_names_in_the_data():
    assert tuple(INSTANCES) == INSTANCE_PRESETS


def test_every_number_says_where_it_comes_from_and_when_it_was_checked():
    rows = instance_table()
    assert len(rows) == 3 * len(INSTANCES) == shipped_text("instances.yaml").count(" value: ")
    for row in rows:
        assert row.source
        assert row.url.startswith("https://")
        assert datetime.date.fromisoformat(row.checked) >= datetime.date(2020, 1, 1)
        assert {"devices": "", "network": "B/s", "price": "USD/h"}[row.figure] == row.unit


@pytest.mark.parametrize("key", INSTANCES)
def test_a_machine_is_what_its_sources_say(key):
    machine, (devices, gbit, usd) = INSTANCES[key], PUBLISHED[key]
    assert machine.devices.value == devices
    assert machine.network.value == gbit * 1e9 / 8
    assert machine.price.value == pytest.approx(usd, rel=1e-12)
    assert machine.usd_per_device_hour == pytest.approx(usd / devices)


@pytest.mark.parametrize("key", INSTANCES)
def test_devices_and_links_are_presets(key):
    machine = INSTANCES[key]
    assert machine.device in load_devices()
    assert machine.inter in load_links()
    assert (machine.intra in load_links()) if machine.devices.value > 1 else machine.intra is None


@pytest.mark.parametrize("key", INSTANCES)
def test_a_price_has_a_place_and_a_day_and_says_that_prices_change(key):
    machine = INSTANCES[key]
    assert machine.region
    assert datetime.date(2016, 1, 1) <= datetime.date.fromisoformat(machine.stated)
    assert machine.stated <= machine.price.checked
    assert "Prices change" in machine.price.note


@pytest.mark.parametrize("key", INSTANCES)
def test_a_network_is_a_whole_number_of_adapters_or_one_that_is_slower(key):
    machine = INSTANCES[key]
    adapters = machine.network.value / load_links()[machine.inter].rate.value
    assert adapters == int(adapters) >= 1


def test_links_inside_are_those_of_the_device():
    """K80 have no NVLink; V100 have its second generation, A100 the third, H100 the fourth."""
    link_of = {
        "k80": "pcie-3",
        "v100": "nvlink-2",
        "a100-40": "nvlink-3",
        "a100-80": "nvlink-3",
        "h100": "nvlink-4",
    }
    for machine in INSTANCES.values():
        if machine.intra is not None:
            assert machine.intra == link_of[machine.device]


def test_a_newer_device_costs_more_an_hour_at_one_provider_and_day():
    p4d, p4de, p5 = (
        INSTANCES[key].usd_per_device_hour for key in ("p4d.24xlarge", "p4de.24xlarge", "p5.48xlarge")
    )
    assert p4d < p4de < p5


def test_a_sound_table_is_read():
    toy = read_instances(_table(), "toy.yaml")["toy"]
    assert (toy.key, toy.name, toy.device, toy.inter, toy.intra) == (
        "toy",
        "Toy",
        "v100",
        "ethernet-10",
        "nvlink-2",
    )
    assert (toy.devices.value, toy.devices.unit) == (4.0, "")
    assert (toy.price.value, toy.price.unit, toy.price.text) == (10.0, "USD/h", "10 USD/h")
    assert (toy.region, toy.stated) == ("moon-1", "2026-01-30")
    assert toy.usd_per_device_hour == 2.5


def test_one_device_needs_no_link():
    toy = read_instances(_table(devices__value=1, intra=None), "toy.yaml")["toy"]
    assert toy.intra is None


@pytest.mark.parametrize("missing", ["source", "url", "checked", "region", "stated"])
def test_a_price_without_provenance_place_or_day_is_refused(missing):
    with pytest.raises(InputError) as caught:
        read_instances(_table(**{f"price__{missing}": None}), "toy.yaml")
    (problem,) = caught.value.problems
    assert (problem.file, problem.path) == ("toy.yaml", "instances.toy.price")
    assert problem.message == f"has no {missing}"


@pytest.mark.parametrize("missing", ["source", "url", "checked"])
@pytest.mark.parametrize("figure", ["devices", "network"])
def test_a_number_without_provenance_is_refused(figure, missing):
    with pytest.raises(InputError, match=f"has no {missing}"):
        read_instances(_table(**{f"{figure}__{missing}": None}), "toy.yaml")


@pytest.mark.parametrize(
    ("changes", "path", "said"),
    [
        ({"price__value": "10 EUR/h"}, "price.value", "unknown unit"),
        ({"price__value": "10"}, "price.value", "has no unit"),
        ({"price__value": "-1 USD/h"}, "price.value", "not above zero"),
        ({"price__stated": "last May"}, "price.stated", "not a day"),
        ({"devices__value": 0}, "devices.value", "not a count"),
        ({"devices__value": 1.5}, "devices.value", "not a count"),
        ({"devices__value": True}, "devices.value", "not a count"),
        ({"network__value": "8 GiB"}, "network.value", "a size"),
        ({"network__region": "moon-1"}, "network.region", "unknown key"),
        ({"device": "v1000"}, "device", "unknown device 'v1000'"),
        ({"inter": "ethernet-11"}, "inter", "unknown link"),
        ({"intra": "nvlink-9"}, "intra", "unknown link"),
        ({"intra": None}, "", "has no intra"),
        ({"devices__value": 1}, "intra", "has no device to link to"),
        ({"device": None}, "", "has no device"),
        ({"price": None}, "price", "not a mapping"),
    ],
)
def test_a_damaged_entry_is_refused_where_it_stands(changes, path, said):
    with pytest.raises(InputError) as caught:
        read_instances(_table(**changes), "toy.yaml")
    at = ".".join(part for part in ("instances.toy", path) if part)
    assert any(one.path == at and said in one.message for one in caught.value.problems)


def test_an_unknown_device_is_offered_the_nearest():
    with pytest.raises(InputError, match=r"did you mean 'v100'\?"):
        read_instances(_table(device="v1000"), "toy.yaml")


def test_all_problems_are_told_at_once():
    with pytest.raises(InputError) as caught:
        read_instances(_table(device="x", price__url=None, network__value="8", intra=None), "toy.yaml")
    assert len(caught.value.problems) == 4
