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
