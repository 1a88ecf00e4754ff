"""One device alone, without communication: what every speedup is measured against.

The fastest worker trains on the samples that all workers together train on in a step, batch after
batch, and updates once: rows that are compared do the same samples a step.

Formula: W Z for W batches of compute Z.
"""

from __future__ import annotations

from simpar.cost import memory
from simpar.program import Op, Program
from simpar.strategies import data
from simpar.strategies.common import Setting, Star, fastest, pass_times


def build(setting: Setting) -> Program:
    """Return the program of one device that does everything."""
    star, workload = Star(setting), setting.workload
    worker = fastest(setting)
    device = star.device(worker)
    layers = (0, len(workload.layers))
    before: list[int] = []
    feeds: list[data.Feed] = []
    forwards: list[int] = []
    for part in range(setting.cluster.workers):
        samples = setting.samples(part)
        forward_s, backward_s = pass_times(setting, worker, samples, layers)
        feeds.append(data.Feed(star, worker, samples, part))
        forward = star.builder.task(
            f"w{worker}.forward.{part}",
            Op("forward", worker=worker, layers=layers, part=part),
            device,
            forward_s,
            [*before, *feeds[-1].arrived],
        )
        backward = star.builder.task(
            f"w{worker}.backward.{part}",
            Op("backward", worker=worker, layers=layers, part=part),
            device,
            backward_s,
            [forward],
        )
        before = [backward]
        forwards.append(forward)
    data.reuse(star, feeds, forwards)
    update = star.builder.task(f"w{worker}.update", Op("update", worker=worker), after=before)
    star.builder.edge(update, forwards[0], distance=1)
    return star.program(
        clock="sync",
        updates=[update],
        samples=setting.global_batch,
        workers=1,
        parts=[setting.samples(part) for part in range(setting.cluster.workers)],
        memory=memory.all_reduce_worker(
            workload.parameter_bytes,
            workload.activation_bytes * workload.batch,
            setting.optimizer_bytes(workload.parameters),
        ),
    )
