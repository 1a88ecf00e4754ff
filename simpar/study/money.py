"""What training costs: prices of machines times the hours that they are held.

Every worker is paid for, whether it has a stage or waits, and so is every parameter server that has a price
and a machine of its own. A cloud instance is paid for as a whole, however many of its devices are used.
All in USD; prices are the scenario's own, or else the published one of ``cluster.instance``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simpar.hardware import load_instances
from simpar.scenario import Scenario


def device_price(scenario: Scenario) -> float | None:
    """Return the USD an hour of one worker's device, None where the scenario does not say."""
    device, prices = scenario.cluster.device, scenario.prices
    preset = device.preset if device is not None else None
    instance = scenario.cluster.instance
    if preset is None and instance is not None:
        preset = load_instances()[instance].device
    if preset is not None and preset in prices:
        return prices[preset]
    return prices.get("device")


def machine_price(scenario: Scenario) -> float | None:
    """Return the USD an hour of a whole machine, None where devices are paid for or nothing is known.

    The scenario's own price of the instance, or else of its device, comes before the published one.
    """
    instance = scenario.cluster.instance
    if instance is None:
        return None
    if instance in scenario.prices:
        return scenario.prices[instance]
    return None if device_price(scenario) is not None else load_instances()[instance].price.value


def usd_per_hour(scenario: Scenario, meta: Mapping[str, Any]) -> float | None:
    """Return the USD an hour of a strategy's machines and servers, None where neither has a price.

    Args:
        meta: facts of its program.
    """
    workers, servers = int(meta["workers"]), int(meta.get("servers", meta.get("hosts", 0)))
    whole, each = machine_price(scenario), device_price(scenario)
    if whole is not None:
        machines = -(-workers // scenario.cluster.per_node) * whole
    elif each is not None:
        machines = workers * each
    else:
        return None
    return machines + (0.0 if meta.get("colocate") else servers * scenario.prices.get("server", 0.0))


def usd_per_epoch(scenario: Scenario, per_hour: float | None, samples_per_s: float) -> float | None:
    """Return the USD of going once through all records, None where one of the figures is missing."""
    records = scenario.data.records
    if per_hour is None or records is None:
        return None
    return per_hour / 3600 * records / samples_per_s
