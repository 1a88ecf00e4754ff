"""Money: prices times hours, by hand."""

import pytest

import simpar

SCENARIO = """
name: money
model: {{batch: 10, layers: [{{name: a, flops: 1 GFLOP, backward_flops: 1 GFLOP, parameters: 0}}]}}
data: {{records: 3600}}
cluster: {{workers: 2, device: {device}}}
network: {{bandwidth: 10 Gbit/s}}
strategies: [single, ps-sync: {{servers: 3}}]
prices: {prices}
run: {{steps: 2}}
"""


@pytest.fixture
def compared(tmp_path):
    def compare(prices, device="{flops: 20 GFLOP/s}"):
        file = tmp_path / "money.yaml"
        file.write_text(SCENARIO.format(prices=prices, device=device))
        return simpar.compare(file)

    return compare


def test_hours_epochs_steps_and_samples_follow_from_the_price(compared):
    """One device does 10 samples in 1 s: 3600 records take 360 s alone, 180 s on two."""
    result = compared("{device: 2 USD/h, server: 0.50 USD/h}")
    single, served = result["single"], result["ps-sync"]
    assert single.usd_per_hour == pytest.approx(2.0)
    assert single.usd_per_epoch == pytest.approx(0.2)
    assert single.usd_per_million_samples == pytest.approx(2 / 3600 * 1e6 / 10)
    assert single.usd_per_step == pytest.approx(2 * 2 / 3600)  # a step does both workers' batches
    assert served.usd_per_hour == pytest.approx(2 * 2.0 + 3 * 0.5)
    assert served.usd_per_epoch == pytest.approx(5.5 * 180 / 3600)
    assert served.to_dict()["usd_per_hour"] == served.usd_per_hour


def test_a_preset_has_its_own_price(compared):
    result = compared("{v100: 3 USD/h, device: 9 USD/h}", device="v100")
    assert result["single"].usd_per_hour == 3.0
    assert "prices.device had no effect: nothing here is a device" in result.notes
    assert "parameter servers are free: prices has none for server" in result.notes


def test_a_missing_price_is_said_and_the_rest_works(compared):
    result = compared("{a100-80: 4 USD/h}")
    assert result["single"].usd_per_hour is None
    assert result["single"].step_s == pytest.approx(2.0)
    assert any("none for device" in note for note in result.notes)
    assert any(note.startswith("prices.a100-80 had no effect") for note in result.notes)


@pytest.mark.parametrize(
    ("prices", "said"),
    [
        ("{device: 2}", "has no unit"),
        ("{device: 2 EUR/h}", "prices.device"),
        ("{device: -2 USD/h}", "negative"),
        ("{a1000: 2 USD/h}", "did you mean"),
    ],
)
def test_prices_that_are_none_are_refused(compared, prices, said):
    with pytest.raises(simpar.InputError, match=said):
        compared(prices)


# Machines by the hour. p3.16xlarge: 8 V100, 24.48 USD/h (us-east-1, on demand, as published on 2026-09-24).

ON_INSTANCES = """
name: instances
model: {{preset: resnet-50, batch: 32}}
cluster: {{instance: {instance}, {machines}}}
strategies:
  [single, allreduce, ps-sync: {{servers: 3}}, ps-sync: {{name: within, servers: 2, colocate: true}}]
run: {{steps: 2}}
{more}
"""


@pytest.fixture
def rented(tmp_path):
    def compare(instance="p3.16xlarge", machines="nodes: 2", more=""):
        file = tmp_path / "instances.yaml"
        file.write_text(ON_INSTANCES.format(instance=instance, machines=machines, more=more))
        return simpar.compare(file, advise=False)

    return compare


def test_an_instance_is_paid_for_as_a_machine(rented):
    result = rented()
    assert result["allreduce"].usd_per_hour == pytest.approx(2 * 24.48)
    assert result["ps-sync"].usd_per_hour == pytest.approx(2 * 24.48)
    assert result["within"].usd_per_hour == pytest.approx(2 * 24.48)
    assert result["single"].usd_per_hour == pytest.approx(24.48), "one device of a machine costs the machine"
    notes = " ".join(result.notes)
    assert "a p3.16xlarge is 24.48 USD/h, on demand in us-east-1 on 2026-09-24 (AWS Price List" in notes
    assert "parameter servers are free: prices has none for server" in notes


def test_devices_that_are_not_used_are_paid_for_all_the_same(rented):
    assert rented(machines="nodes: 3, devices_per_node: 2")["allreduce"].usd_per_hour == pytest.approx(
        3 * 24.48
    )


def test_servers_cost_what_prices_say_but_those_on_workers_machines_nothing(rented):
    result = rented(more="prices: {server: 0.50 USD/h}")
    assert result["ps-sync"].usd_per_hour == pytest.approx(2 * 24.48 + 3 * 0.5)
    assert result["within"].usd_per_hour == pytest.approx(2 * 24.48)


def test_a_price_by_hand_comes_before_the_published_one(rented):
    result = rented(more="prices: {p3.16xlarge: 10 USD/h}")
    assert result["allreduce"].usd_per_hour == pytest.approx(20.0)
    assert not any("on demand" in note for note in result.notes)
    by_device = rented(more="prices: {v100: 2 USD/h}")
    assert by_device["allreduce"].usd_per_hour == pytest.approx(16 * 2.0)
    other = rented(more="prices: {p2.8xlarge: 3 USD/h}")
    assert other["allreduce"].usd_per_hour == pytest.approx(2 * 24.48)
    assert "prices.p2.8xlarge had no effect: nothing here is a p2.8xlarge" in other.notes


def test_an_epoch_on_instances_is_hours_times_machines(rented):
    row = rented(more="data: {records: 1281167}")["allreduce"]
    assert row.usd_per_epoch == pytest.approx(1281167 / row.samples_per_s / 3600 * 2 * 24.48)
