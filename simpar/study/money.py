"""What training costs: prices of machines times the hours that they are held.

Every worker is paid for, whether it has a stage or waits, and so is every parameter server that has a price.
All in USD; prices are the scenario's own (``simpar presets instances`` has published ones to start from).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simpar.scenario import Scenario


def device_price(scenario: Scenario) -> float | None:
    """Return the USD an hour of one worker's device, None where the scenario does not say."""
    device = scenario.cluster.device
    preset = device.preset if device is not None else None
    if preset is not None and preset in scenario.prices:
        return scenario.prices[preset]
    return scenario.prices.get("device")


def usd_per_hour(scenario: Scenario, meta: Mapping[str, Any]) -> float | None:
    """Return the USD an hour of a strategy's workers and servers, None where its devices have no price.

    Args:
        meta: facts of its program.
    """
    price = device_price(scenario)
    if price is None:
        return None
    workers, servers = int(meta["workers"]), int(meta.get("servers", 0))
    return workers * price + servers * scenario.prices.get("server", 0.0)


def usd_per_epoch(scenario: Scenario, per_hour: float | None, samples_per_s: float) -> float | None:
    """Return the USD of going once through all records, None where one of the figures is missing."""
    records = scenario.data.records
    if per_hour is None or records is None:
        return None
    return per_hour / 3600 * records / samples_per_s
