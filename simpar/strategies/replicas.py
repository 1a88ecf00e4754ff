"""What replicas that predict together have in common: forward passes, outputs, a host that combines.

Every device holds the whole model. Each computes the outputs of its records and sends them, all at the same
time, to the host, whose one link they share (*incast*). When the last have arrived the host combines them;
then the next step begins. Nothing overlaps, but a device reads records ahead where ``data.prefetch`` lets it.

The host is ``ps0``: a machine with the bandwidth and the CPU of a parameter server. Nothing is learned: there
is no backward pass, no gradient and no optimizer, and of the activations a device keeps only those that a
later layer reads.

Start with :func:`program`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from simpar.cost import memory
from simpar.program import Op, Program
from simpar.strategies import data
from simpar.strategies.common import Setting, Star, pass_times
from simpar.workload import Workload
from simpar.workload.splitting import all_cuts

HOST = 0
"""The host, as a server."""


def program(
    star: Star,
    parts: Sequence[int],
    owned: Sequence[int],
    synced: Sequence[Sequence[int]],
    begins: Sequence[int],
    combine: str,
    **facts: Any,
) -> Program:
    """Return the program of a step in which every device predicts a part of the records.

    Args:
        parts: records of each part.
        owned: by worker, its part; several may have the same one.
        synced: by worker, what its forward pass waits for besides its records.
        begins: what begins a step; where there is nothing, the forward passes do.
        combine: ``concat``, or what the host makes of several outputs of one record.
        facts: what else is noted of the program.
    """
    setting, builder, workload = star.setting, star.builder, star.setting.workload
    layers = (0, len(workload.layers))
    forwards, outputs = [], []
    for worker, part in enumerate(owned):
        feed = data.Feed(star, worker, parts[part])
        forward = builder.task(
            f"w{worker}.forward",
            Op("forward", worker=worker, layers=layers, part=part),
            star.device(worker),
            pass_times(setting, worker, parts[part], layers)[0],
            [*synced[worker], *feed.arrived],
        )
        data.reuse(star, [feed], [forward])
        forwards.append(forward)
        n_bytes = workload.layers[-1].activation_bytes * parts[part]
        outputs.append(star.output(worker, HOST, n_bytes, [forward])[1])
    sent_bytes = workload.layers[-1].activation_bytes * sum(parts[part] for part in owned)
    seconds = combine_s(setting, sent_bytes, adds=combine != "concat")
    done = builder.task("ps0.predict", Op("predict", server=HOST), star.server_cpu(HOST), seconds, outputs)
    for task in begins or forwards:
        builder.edge(done, task, distance=1)
    return star.program(
        clock="sync",
        updates=[done],
        samples=sum(parts),
        workers=len(owned),
        memory=memory.predictor(workload.parameter_bytes, most_alive_bytes(workload) * max(parts)),
        hosts=1,
        combine=combine,
        parts=list(parts),
        **facts,
    )


def combine_s(setting: Setting, n_bytes: float, adds: bool) -> float:
    """Return the seconds in which the host combines outputs of *n_bytes*: it takes them up once.

    Args:
        adds: whether it reads them to add them up or to count votes; where they lie one after another, not.
    """
    server = setting.cluster.server
    adding = n_bytes / server.add_bytes_per_s if adds and server.add_bytes_per_s else 0.0
    return server.overhead_s + adding


def most_alive_bytes(workload: Workload) -> float:
    """Return the most bytes of one sample's outputs that a forward pass holds at once.

    While a layer computes, these are its own output and all earlier ones that it or a later layer reads.
    """
    alive = zip(all_cuts(workload), workload.layers, strict=True)
    return max(before + layer.activation_bytes for before, layer in alive)
