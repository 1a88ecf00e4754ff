"""The points of a study on a Dask cluster.

The scenario is checked here and travels as a whole, so that the workers need simpar, in this version, but
none of the files. A few points a core are under way at a time; those of a lost worker go to another one.
Start with :func:`results`.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from simpar.errors import InputError, Problem, one_line
from simpar.scenario import Scenario, change
from simpar.study.axes import OPTION
from simpar.study.runs import Result, numbered, simulate_point
from simpar.study.store import source_digest

WAIT_S = 5.0
"""Seconds to wait for the scheduler."""

UNDER_WAY = 4
"""Points a core that are sent ahead."""

_ADDRESS = re.compile(r"dask://([^\s/:]+|\[[0-9a-fA-F:]+\]):([0-9]{1,5})/?")


def address_of(cluster: str) -> str:
    """Return the address of a scheduler as Dask takes it.

    Raises:
        InputError: *cluster* is none.

    >>> address_of("dask://10.0.0.1:8786")
    'tcp://10.0.0.1:8786'
    """
    match = _ADDRESS.fullmatch(cluster)
    if match is None or int(match[2]) > 65535:
        raise _wrong(
            f"{cluster!r} is no address of a cluster", "write dask://HOST:PORT, as in dask://10.0.0.1:8786"
        )
    return f"tcp://{match[1]}:{match[2]}"


def check(cluster: str) -> None:
    """Refuse an address that is none, and a cluster without what it takes to reach it.

    Raises:
        InputError: with one line that says what to do.
    """
    address_of(cluster)
    try:
        import distributed  # noqa: F401  # whether it is there
    except ImportError:
        raise _wrong("Dask is not installed", "from the checkout: pip install '.[cluster]'") from None


def results(
    cluster: str, scenario: Scenario, settings: Sequence[Mapping[str, Any]], missing: Sequence[int]
) -> Iterator[Result]:
    """Return the result of each of the *missing* points, as they finish.

    Raises:
        InputError: the cluster cannot be reached, has no workers, or workers with another simpar.
    """
    check(cluster)
    if not missing:
        return
    import asyncio
    import logging

    from distributed import Client

    address = address_of(cluster)
    said_by = ("distributed", "asyncio")
    for name in [one for one in logging.root.manager.loggerDict if one.split(".")[0] in said_by]:
        logging.getLogger(name).setLevel(logging.CRITICAL)  # each has a level; what matters is said below
    try:
        # A client waits for ever for something that takes the connection and says nothing.
        asyncio.run(asyncio.wait_for(_greeting(address), WAIT_S))
        client = Client(address, timeout=WAIT_S, set_as_default=False)
    except Exception:
        fix = "start one: dask scheduler, and on each machine: dask worker HOST:PORT"
        raise _wrong(f"no cluster answers at {cluster}", fix) from None
    with client:
        yield from _gathered(client, cluster, scenario, settings, missing)


async def _greeting(address: str) -> None:
    """Ask a scheduler who it is; raise whatever, or wait for ever, where there is none."""
    from distributed.core import rpc

    async with rpc(address, timeout=WAIT_S) as scheduler:
        await scheduler.identity()


def _wrong(message: str, fix: str) -> InputError:
    return InputError([Problem("", 0, 0, "--cluster", message, fix)])


def _gathered(
    client: Any,
    cluster: str,
    scenario: Scenario,
    settings: Sequence[Mapping[str, Any]],
    missing: Sequence[int],
) -> Iterator[Result]:
    from asyncio import CancelledError

    from distributed import as_completed

    cores = _cores(client, cluster)
    waiting = iter(missing)
    under_way = as_completed(loop=client.loop, raise_errors=False)
    where: dict[str, int] = {}

    def send() -> Result | None:
        """Send the next point; return its result where it is wrong already."""
        for number in waiting:
            try:
                changed = change(scenario, settings[number], OPTION)
            except InputError:
                return number, simulate_point(pickle.dumps(scenario), settings[number])
            future = client.submit(numbered, number, pickle.dumps(changed), {}, pure=False, retries=3)
            where[future.key] = number
            under_way.add(future)
            return None
        return None

    for _ in range(min(len(missing), UNDER_WAY * cores)):
        while (wrong := send()) is not None:
            yield wrong
    for future in under_way:
        number = where.pop(future.key)
        try:
            # Its worker may be lost by now, and the point under way once more: this waits for it.
            found: Result = future.result()
        except (Exception, CancelledError) as error:
            said = f"point {number + 1} failed on the cluster: {type(error).__name__}: {error}"
            fix = "look at its logs; the same command goes on from here"
            raise _wrong(one_line(said[:300]), fix) from None
        yield found
        future.release()
        while (wrong := send()) is not None:
            yield wrong


def _cores(client: Any, cluster: str) -> int:
    """Return the cores of all workers, which must have this simpar."""
    workers = client.scheduler_info(n_workers=-1)["workers"]
    if not workers:
        raise _wrong(f"the cluster at {cluster} has no workers", "start some: dask worker HOST:PORT")
    found = client.run(_digest_there, on_error="return")
    other = sorted(worker for worker, digest in found.items() if digest != source_digest())
    if other:
        said = f"{len(other)} of {len(found)} workers have no simpar or another one, {other[0]} for one"
        raise _wrong(said, "install this one on all of them")
    return sum(int(worker["nthreads"]) for worker in workers.values())


def _digest_there() -> str:
    return source_digest()
