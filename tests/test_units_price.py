"""Prices: US dollars an hour, nothing else, and never a guess that changes what somebody pays."""

import pytest

from simpar.units import UnitError, parse, spell


@pytest.mark.parametrize(
    ("text", "value"),
    [("2.50 USD/h", 2.5), ("98.32USD/h", 98.32), ("1e2 USD/h", 100.0), ("0.526 USD/h", 0.526)],
)
def test_a_price_is_read_in_usd_per_hour(text, value):
    assert parse(text, "price") == value


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (2.5, "2.5 USD/h"),
        (27.1968, "27.2 USD/h"),
        (98.32, "98.32 USD/h"),
        (1234.0, "1234 USD/h"),
        (0.0, "0 USD/h"),
        (0.001, "0.001 USD/h"),
    ],
)
def test_a_price_is_spelt_back(value, said):
    assert spell(value, "price") == said
    assert parse(said, "price") == pytest.approx(value, rel=1e-3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2.50", "'2.50' has no unit; write '2.50 USD/h'"),
        ("3", "'3' has no unit; write it like '2.50 USD/h'"),
        ("2.50 usd/h", "'2.50 usd/h' has an unknown unit 'usd/h'; did you mean '2.50 USD/h'?"),
        ("2.50 USD/hour", "'2.50 USD/hour' has an unknown unit 'USD/hour'; did you mean '2.50 USD/h'?"),
        ("5 us", "'5 us' is a duration, not a price; write it like '2.50 USD/h'"),
        ("$2.50/h", "'$2.50/h' is not a price; write it like '2.50 USD/h'"),
    ],
)
def test_what_is_not_a_price_says_what_to_write(text, said):
    with pytest.raises(UnitError) as caught:
        parse(text, "price")
    assert str(caught.value) == said


@pytest.mark.parametrize("unit", ["EUR/h", "AUD/h", "SGD/h", "USD/s", "USD/min", "USD/d", "USD", "$/h"])
def test_another_currency_or_time_is_never_taken_for_a_misspelling(unit):
    with pytest.raises(UnitError) as caught:
        parse(f"3 {unit}", "price")
    assert caught.value.fix == "write it like '2.50 USD/h'"


def test_a_price_is_no_duration_and_no_rate():
    with pytest.raises(UnitError, match="is a price, not a duration"):
        parse("2.50 USD/h", "duration")
