"""Pipeline parallelism in the GPipe schedule: every worker holds a stage of the model.

The model is cut into *stages*, one a worker, where that makes the shortest pipeline: equal stages, and
cuts that little has to cross. A minibatch of workers x batch samples is cut into *microbatches*. Every
stage runs all forwards, then all backwards in reverse order, then updates: the weights are those of
synchronous training. While the pipeline fills and drains, stages stand idle (the *bubble*).

Between two stages goes every tensor that crosses the cut, once; the gradients of the same come back.

Formula: (m + p - 1) (t_f + t_b) for p equal stages, m microbatches and links that cost nothing; the bubble
is (p - 1) / (m + p - 1) of it.
Source: Huang et al., GPipe, NeurIPS 2019.
"""

from __future__ import annotations

import math

from simpar.cost import memory
from simpar.program import Op, Program
from simpar.scenario.options import PipelineOptions
from simpar.strategies.common import Setting, Star, layer_times
from simpar.workload.layers import Layer
from simpar.workload.splitting import all_cuts, balanced
from simpar.workload.splitting import stages as cut_into_stages

MICROBATCHES_PER_STAGE = 4
"""Default number of microbatches, a stage: GPipe's authors found the bubble negligible from there on."""


def build(setting: Setting) -> Program:
    """Return the program of a GPipe pipeline."""
    options = setting.strategy.options
    assert isinstance(options, PipelineOptions)
    star, workload, workers = Star(setting), setting.workload, setting.cluster.workers
    builder = star.builder
    stages = options.stages if options.stages is not None else workers
    samples = workers * workload.batch
    micro = (
        options.microbatches
        if options.microbatches is not None
        else min(MICROBATCHES_PER_STAGE * stages, samples)
    )
    if stages > workers:
        raise setting.refuse("stages", f"{stages} stages on {workers} workers", f"write {workers} or fewer")
    if stages > len(workload.layers):
        path = "stages" if options.stages is not None else ""
        raise setting.refuse(
            path,
            f"{stages} stages and {len(workload.layers)} layers",
            f"write stages: {len(workload.layers)} or fewer",
        )
    if micro > samples:
        raise setting.refuse(
            "microbatches", f"{micro} microbatches of {samples} samples", f"write {samples} or fewer"
        )
    sizes = balanced(samples, micro)
    whole = [layer_times(setting, stage, samples) for stage in range(stages)]
    network = star.network
    assert network is not None, "the scenario was checked: messages need a network"
    crossed = all_cuts(workload)  # bytes of one sample, by the layer behind the cut
    cuts = cut_into_stages(
        [forward + backward for forward, backward in zip(*whole[0], strict=True)],
        [2 * n_bytes * samples / network.bytes_per_s for n_bytes in crossed],
        stages,
        micro,
    )
    crossing = [crossed[cut[0]] for cut in cuts[1:]]

    def seconds(stage: int, direction: int, part: int) -> float:
        return math.fsum(whole[stage][direction][slice(*cuts[stage])]) * sizes[part] / samples

    forward = [[-1] * micro for _ in range(stages)]
    backward = [[-1] * micro for _ in range(stages)]
    arrived: dict[tuple[int, int], int] = {}
    for part in range(micro):
        for stage in range(stages):
            after = [forward[stage][part - 1]] if part else []
            after += [arrived[stage, part]] if stage else []
            forward[stage][part] = builder.task(
                f"w{stage}.forward.{part}",
                Op("forward", worker=stage, layers=cuts[stage], part=part),
                star.device(stage),
                seconds(stage, 0, part),
                after,
            )
            if stage + 1 < stages:
                _, arrived[stage + 1, part] = star.send(
                    f"w{stage}.activation.w{stage + 1}.{part}",
                    Op("activation", worker=stage, peer=stage + 1, part=part),
                    stage,
                    stage + 1,
                    crossing[stage] * sizes[part],
                    [forward[stage][part]],
                )
    arrived.clear()
    before = [forward[stage][micro - 1] for stage in range(stages)]
    for part in reversed(range(micro)):
        for stage in reversed(range(stages)):
            after = [before[stage]]
            after += [arrived[stage, part]] if stage + 1 < stages else []
            before[stage] = backward[stage][part] = builder.task(
                f"w{stage}.backward.{part}",
                Op("backward", worker=stage, layers=cuts[stage], part=part),
                star.device(stage),
                seconds(stage, 1, part),
                after,
            )
            if stage:
                _, arrived[stage - 1, part] = star.send(
                    f"w{stage}.gradient.w{stage - 1}.{part}",
                    Op("gradient", worker=stage, peer=stage - 1, part=part),
                    stage,
                    stage - 1,
                    crossing[stage - 1] * sizes[part],
                    [backward[stage][part]],
                )
    updates = []
    for stage in range(stages):
        update = builder.task(f"w{stage}.update", Op("update", worker=stage), after=[before[stage]])
        builder.edge(update, forward[stage][0], distance=1)
        updates.append(update)
    held = [workload.layers[slice(*cut)] for cut in cuts]
    largest = max(range(len(crossing)), key=lambda cut: (crossing[cut], -cut), default=-1)
    return star.program(
        clock="sync",
        updates=updates,
        samples=samples,
        workers=workers,
        memory_bytes=max(
            memory.gpipe_stage(
                sum(layer.parameters for layer in layers) * workload.dtype_bytes,
                sum(layer.activation_bytes for layer in layers) * samples / micro,
                micro,
            )
            for layers in held
        ),
        schedule=options.schedule,
        stages=stages,
        microbatches=micro,
        cuts=[list(cut) for cut in cuts],
        cut_bytes=[n_bytes * samples for n_bytes in crossing],
        cut_layers=[
            [_named(workload.layers[cut[0] - 1]), _named(workload.layers[cut[0]])] for cut in cuts[1:]
        ],
        widest_cut=largest,
        stage_compute_s=[
            math.fsum(math.fsum(times[slice(*cuts[stage])]) for times in whole[stage])
            for stage in range(stages)
        ],
    )


def _named(layer: Layer) -> str:
    """Return a layer's name with what it computes, where the name does not say it."""
    return layer.name if layer.kind in layer.name else f"{layer.name} ({layer.kind})"
