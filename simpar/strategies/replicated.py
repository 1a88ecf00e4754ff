"""Replicated prediction: every device has the same parameters and predicts its own share of the records.

The records of a step, workers x batch, are split evenly. First comes *parameter synchronisation*: the host
sends the parameters to all devices, so that all of them have exactly the same. Then every device computes the
outputs of its own records, forward only, and sends them to the host, which puts them one after another in the
order of the records (``combine: concat``). As the copies agree, whoever predicts a record says the same of
it: there is nothing to average or to vote on. Who wants several opinions takes an ``ensemble``.

The host is ``ps0``: a machine with the bandwidth and the CPU of a parameter server. Nothing overlaps, but
reading records ahead (``data.prefetch``). Nothing is learned: a device holds the parameters and the outputs
that a later layer reads, no gradients and no optimizer.

Formula: sync + max forward + gather, where sync takes alpha + max(n / B_w, W n / B_host) for parameters of n
bytes, and gather alpha + max(b o / B_w, W b o / B_host) for b records a device of o bytes of output each.
With ``sharing: fifo`` devices get the parameters one after another, and who got them early has sent its
outputs before the others do.
Sources: Dean and Barroso, The Tail at Scale, CACM 56(2), 2013, for replicas that a host waits for; Thakur et
al., IJHPCA 19(1), 2005, for gathering.
"""

from __future__ import annotations

from simpar.program import Op, Program
from simpar.strategies import replicas
from simpar.strategies.common import Setting, Star, tensor_elements
from simpar.workload import splitting
from simpar.workload.placement import place


def build(setting: Setting) -> Program:
    """Return the program of replicas that share the records."""
    workload, workers = setting.workload, range(setting.cluster.workers)
    star, n_bytes = Star(setting), float(workload.parameter_bytes)
    begins: list[int] = []
    synced: list[list[int]] = [[] for _ in workers]
    if n_bytes:
        begins = [star.builder.task("ps0.publish", Op("publish", server=replicas.HOST))]
        synced = [[star.pull(worker, replicas.HOST, n_bytes, begins)[1]] for worker in workers]
    pieces = place(tensor_elements(workload), 1, "sliced")
    return replicas.program(
        star,
        splitting.shares(setting.global_batch, len(workers), setting.scenario.data.split),
        workers,
        synced,
        begins,
        "concat",
        slices={
            "tensor": [piece.tensor for piece in pieces],
            "server": [piece.server for piece in pieces],
            "start": [piece.start for piece in pieces],
            "elements": [piece.elements for piece in pieces],
        },
    )
