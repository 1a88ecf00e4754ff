"""Pipeline parallelism: every worker holds a stage of the model, and microbatches flow through them.

The model is cut into *stages*, one a worker, where that makes the shortest pipeline: equal stages, and
cuts that little has to cross. A minibatch of workers x batch samples is cut into *microbatches*. In the
schedule ``gpipe`` every stage runs all forwards, then all backwards in reverse order, then updates. In
``1f1b`` it runs as many forwards ahead as there are stages behind it, then one forward and one backward
in turn, and holds the activations of no more microbatches than that. Either way the weights are those of
synchronous training, and while the pipeline fills and drains, stages stand idle (the *bubble*).

With ``interleaved`` the model is cut into *chunks* x stages parts, and stage s holds parts s, s + p, s + 2 p
and so on: a microbatch goes round all stages once for every chunk. The pipeline fills and drains by parts, so
the bubble is as many times smaller as there are chunks, for as many times more messages. Microbatches go in
groups of as many as there are stages.

With *recompute* a stage keeps only its inputs of a microbatch, and computes its forward pass once more when
the gradients arrive: the backward pass takes that much longer, and the activations of one microbatch are
held at a time.

Between two stages goes every tensor that crosses the cut, once; the gradients of the same come back.

Formula: (m + p - 1) (t_f + t_b) for p equal stages, m microbatches and links that cost nothing; the bubble
is (p - 1) / (m + p - 1) of it. Interleaved with v chunks it is (m + (p - 1) / v) (t_f + t_b). With recompute
t_b is longer by t_f.
Sources: Huang et al., GPipe, NeurIPS 2019; Narayanan et al., PipeDream, SOSP 2019; for chunks Narayanan et
al., Efficient Large-Scale Language Model Training on GPU Clusters Using Megatron-LM, SC 2021, section 2.2.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from simpar.cost import memory
from simpar.program import MOST_TASKS, Op, Program
from simpar.scenario.options import PipelineOptions
from simpar.strategies import data
from simpar.strategies.common import Setting, Star, is_linear, layer_times
from simpar.workload.layers import Layer
from simpar.workload.splitting import all_cuts, balanced
from simpar.workload.splitting import stages as cut_into_stages

MICROBATCHES_PER_STAGE = 4
"""Default number of microbatches, a stage: GPipe's authors found the bubble negligible from there on."""


def build(setting: Setting) -> Program:
    """Return the program of a pipeline."""
    options = setting.strategy.options
    assert isinstance(options, PipelineOptions)
    star, workload, workers = Star(setting), setting.workload, setting.cluster.workers
    builder = star.builder
    stages = options.stages if options.stages is not None else workers
    samples = setting.global_batch
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
    chunks = _chunks(setting, stages, micro)
    parts = stages * chunks
    if micro > samples:
        raise setting.refuse(
            "microbatches", f"{micro} microbatches of {samples} samples", f"write {samples} or fewer"
        )
    if 4 * stages * micro > MOST_TASKS:
        raise setting.refuse(
            "microbatches" if options.microbatches is not None else "stages",
            f"{micro:,} microbatches through {stages:,} stages are too much to write down",
            f"write fewer (stages x microbatches at most {MOST_TASKS // 4:,})",
        )
    sizes = balanced(samples, micro)
    whole = [_minibatch_times(setting, stage, sizes) for stage in range(stages)]
    # Where the stages are on several machines, every cut is taken for one between machines.
    between = setting.cluster.links_between(0, stages - 1)
    assert between is not None, "the scenario was checked: messages need a network"
    passes = 2 if options.recompute else 1  # forward, of each microbatch
    crossed = all_cuts(workload)  # bytes of one sample, by the layer behind the cut
    cuts = cut_into_stages(
        [passes * forward + backward for forward, backward in zip(*whole[0], strict=True)],
        [2 * n_bytes * samples / between.bytes_per_s for n_bytes in crossed],
        parts,
        micro,
    )
    crossing = [crossed[cut[0]] for cut in cuts[1:]]

    def seconds(place: int, direction: int, part: int) -> float:
        stage, layers = place % stages, slice(*cuts[place])
        again = seconds(place, 0, part) if direction == 1 and options.recompute else 0.0
        if not is_linear(setting):
            return again + math.fsum(layer_times(setting, stage, sizes[part])[direction][layers])
        return again + math.fsum(whole[stage][direction][layers]) * sizes[part] / samples

    order = [stage_order(options.schedule, stage, stages, micro, chunks) for stage in range(stages)]
    held = [cuts[stage::stages] for stage in range(stages)]
    feed = data.Feed(star, 0, samples)
    first, last = _lay(star, order, cuts, crossing, sizes, seconds, feed)
    updates = []
    for stage in range(stages):
        update = builder.task(f"w{stage}.update", Op("update", worker=stage), after=[last[stage]])
        builder.edge(update, first[stage], distance=1)
        updates.append(update)
    kept = [  # bytes of the activations that each stage holds at once
        sum(layer.activation_bytes for cut in mine for layer in workload.layers[slice(*cut)])
        * samples
        / micro
        / chunks
        * in_flight(order[stage])
        for stage, mine in enumerate(held)
    ]
    parameters = [
        sum(layer.parameters for cut in mine for layer in workload.layers[slice(*cut)]) for mine in held
    ]
    ends = [0.0, *(n_bytes * max(sizes) for n_bytes in crossing), 0.0]  # what crosses into and out of a stage
    needs = [
        memory.pipeline_stage(
            parameters[stage] * workload.dtype_bytes,
            kept[stage] / in_flight(order[stage]),
            in_flight(order[stage]),
            setting.optimizer_bytes(parameters[stage]),
            input_bytes=max(ends[stage:parts:stages]),
            gradient_bytes=max(ends[stage + 1 :: stages]),
            recompute=options.recompute,
        )
        for stage in range(stages)
    ]
    fullest = max(range(stages), key=lambda stage: (needs[stage].total, -stage))

    def slowness(cut: int) -> float:
        links = setting.cluster.links_between(cut % stages, (cut + 1) % stages)
        assert links is not None, "the scenario was checked: messages need a network"
        return crossing[cut] / links.bytes_per_s

    slowest = max(range(len(crossing)), key=lambda cut: (slowness(cut), -cut), default=-1)
    return star.program(
        clock="sync",
        updates=updates,
        samples=samples,
        workers=workers,
        memory=needs[fullest],
        fullest_stage=fullest,
        in_flight=in_flight(order[fullest]),
        schedule=options.schedule,
        stages=stages,
        microbatches=micro,
        parts=sizes,
        cuts=[list(cut) for cut in cuts],
        cut_bytes=[n_bytes * samples for n_bytes in crossing],
        cut_layers=[
            [_named(workload.layers[cut[0] - 1]), _named(workload.layers[cut[0]])] for cut in cuts[1:]
        ],
        widest_cut=slowest,
        stage_compute_s=[
            math.fsum(
                count * math.fsum(times[slice(*cut)])
                for count, times in zip((passes, 1), whole[stage], strict=True)
                for cut in held[stage]
            )
            for stage in range(stages)
        ],
        **({"recompute": True} if options.recompute else {}),
        **({"chunks": chunks} if chunks > 1 else {}),
    )


def _minibatch_times(setting: Setting, worker: int, sizes: list[int]) -> tuple[list[float], list[float]]:
    """Return the seconds of each layer on *worker*, forward and backward, for all microbatches together."""
    if is_linear(setting):
        return layer_times(setting, worker, sum(sizes))
    counts = [(size, sizes.count(size)) for size in sorted(set(sizes))]
    times = [(count, layer_times(setting, worker, size)) for size, count in counts]
    forward, backward = (
        [
            math.fsum(parts)
            for parts in zip(*([count * s for s in one[way]] for count, one in times), strict=True)
        ]
        for way in (0, 1)
    )
    return forward, backward


Piece = tuple[str, int, int]
"""What a stage does at once: forward or backward, the chunk, the microbatch."""


def _chunks(setting: Setting, stages: int, micro: int) -> int:
    """Return how many parts of the model a stage holds; refuse what cannot be interleaved."""
    options = setting.strategy.options
    assert isinstance(options, PipelineOptions)
    if options.schedule != "interleaved":
        if options.chunks is not None:
            said = f"a stage of {options.schedule} holds one part of the model"
            raise setting.refuse("chunks", said, "remove it, or write 'schedule: interleaved'")
        return 1
    layers, chunks = len(setting.workload.layers), options.chunks or 2
    if stages < 2:
        raise setting.refuse("stages", "one stage has nobody to take turns with", "write 2 or more")
    if stages * chunks > layers:
        most = layers // stages
        fix = f"write chunks: {most} or fewer" if most > 1 else f"write stages: {layers // 2} or fewer"
        said = f"{chunks} chunks of {stages} stages, and the model has {layers} layers"
        raise setting.refuse("chunks" if options.chunks is not None else "", said, fix)
    if micro % stages:
        low = micro - micro % stages
        nearest = f"{low} or {low + stages}" if low else str(stages)
        said = f"{micro} microbatches do not go in groups of {stages}, one a stage"
        raise setting.refuse("microbatches", said, f"write {nearest}")
    return chunks


def stage_order(schedule: str, stage: int, stages: int, micro: int, chunks: int = 1) -> list[Piece]:
    """Return what a stage does in an iteration, in order.

    >>> [f"{what[0]}{part}" for what, _, part in stage_order("gpipe", 0, stages=2, micro=2)]
    ['f0', 'f1', 'b1', 'b0']
    >>> [f"{what[0]}{part}" for what, _, part in stage_order("1f1b", 0, stages=2, micro=3)]
    ['f0', 'f1', 'b0', 'f2', 'b1', 'b2']
    >>> [f"{what[0]}{chunk}.{part}" for what, chunk, part in stage_order("interleaved", 1, 2, 2, 2)]
    ['f0.0', 'f0.1', 'f1.0', 'b1.0', 'f1.1', 'b1.1', 'b0.0', 'b0.1']
    """
    # Microbatches in groups of one a stage, each group through all chunks before the next one begins.
    turns = [
        (chunk, part)
        for first in range(0, micro, stages)
        for chunk in range(chunks)
        for part in range(first, min(first + stages, micro))
    ]
    forwards: list[Piece] = [("forward", chunk, part) for chunk, part in turns]
    backwards: list[Piece] = [("backward", chunks - 1 - chunk, part) for chunk, part in turns]
    if schedule == "gpipe":
        return forwards + [("backward", 0, part) for part in reversed(range(micro))]
    # As many forwards ahead as there are stages behind, with chunks there and back; then one of each in turn.
    ahead = stages - stage - 1
    if chunks > 1:
        ahead += ahead + (chunks - 1) * stages
    ahead = min(len(forwards), ahead)
    order = forwards[:ahead]
    for one, other in zip(forwards[ahead:], backwards, strict=False):
        order += [one, other]
    return order + backwards[len(backwards) - ahead :]


def in_flight(order: list[Piece]) -> int:
    """Return the most microbatches whose activations a stage holds at once.

    >>> in_flight(stage_order("gpipe", 0, 4, 8)), in_flight(stage_order("1f1b", 0, 4, 8))
    (8, 4)
    """
    held = most = 0
    for what, _, _ in order:
        held += 1 if what == "forward" else -1
        most = max(most, held)
    return most


def _lay(
    star: Star,
    order: list[list[Piece]],
    cuts: list[tuple[int, int]],
    crossing: list[float],
    sizes: list[int],
    seconds: Callable[[int, int, int], float],
    feed: data.Feed,
) -> tuple[list[int], list[int]]:
    """Add every stage's work in its order and the messages between; return each stage's ends.

    The first stage begins when the whole minibatch is there.
    """
    stages, places = len(order), len(cuts)
    arrived: dict[tuple[str, int, int], int] = {}  # (what it lets begin, part of the model, microbatch)
    chains: list[list[int]] = [[] for _ in order]
    while any(len(chain) < len(todo) for chain, todo in zip(chains, order, strict=True)):
        before = sum(map(len, chains))
        for stage, (chain, todo) in enumerate(zip(chains, order, strict=True)):
            while len(chain) < len(todo):
                what, chunk, part = todo[len(chain)]
                place, ahead = chunk * stages + stage, what == "forward"
                named = f"c{chunk}.{part}" if places > stages else f"{part}"
                alone = place == 0 if ahead else place == places - 1
                # The last part of the model turns round by itself: its own forward lies before.
                if not alone and (what, place, part) not in arrived:
                    break
                task = star.builder.task(
                    f"w{stage}.{what}.{named}",
                    Op(what, worker=stage, layers=cuts[place], part=part),
                    star.device(stage),
                    seconds(place, 0 if ahead else 1, part),
                    [
                        *(chain[-1:] or (feed.arrived if stage == 0 else [])),
                        *([] if alone else [arrived[what, place, part]]),
                    ],
                )
                chain.append(task)
                to = place + 1 if ahead else place - 1
                if 0 <= to < places:
                    kind, peer = "activation" if ahead else "gradient", to % stages
                    _, arrived[what, to, part] = star.send(
                        f"w{stage}.{kind}.w{peer}.{named}",
                        Op(kind, worker=stage, peer=peer, part=part),
                        stage,
                        peer,
                        crossing[min(place, to)] * sizes[part],
                        [task],
                    )
        assert sum(map(len, chains)) > before, f"stages wait for each other: {order}"
    first = zip(chains[0], order[0], strict=True)
    ends = [task for task, (what, chunk, _) in first if what == "forward" and chunk == 0]
    data.reuse(star, [feed], ends[-1:])
    return [chain[0] for chain in chains], [chain[-1] for chain in chains]


def _named(layer: Layer) -> str:
    """Return a layer's name with what it computes, where the name does not say it."""
    return layer.name if layer.kind in layer.name else f"{layer.name} ({layer.kind})"
