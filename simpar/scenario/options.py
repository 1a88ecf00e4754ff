"""The ways of training that a scenario may compare, and the options of each.

:data:`KINDS` maps each kind to the model of its options. What a later version adds stands in
:mod:`simpar.scenario.later`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from simpar.scenario.fields import (
    Batch,
    Choice,
    Fraction,
    PositiveDuration,
    PositiveSize,
    Rate,
    Share,
    StrategyName,
    Strict,
    Whole,
    Workers,
    read_word,
)


class Options(Strict):
    """What every kind of strategy takes."""

    name: StrategyName | None = None
    """What this entry is called in tables and paths; by default its kind, then kind-2, kind-3."""


class SingleOptions(Options):
    """One device alone, without communication."""


class HostedOptions(Options):
    """Workers that read, compute and return their results to one host."""

    parts: Workers | None = None
    """Parts that the data of a step is cut into; by default one a worker, more are queued."""

    dispatch: Annotated[Literal["fixed", "free"], Choice("dispatch")] = "fixed"
    """Who gets a part: the worker that is planned to be free first, or the one that is, one at a time."""

    load_barrier: bool = True
    """Nobody computes before all have read."""

    read: Annotated[Literal["shared", "serial"], Choice("read")] = "shared"
    """How the data store serves them: all at once, sharing its bandwidth, or one after the other."""


class UpdateSpec(Strict):
    """How parameters are updated, beside the plain step of the optimizer; simpar replay does it."""

    elastic: Annotated[float, Share(2.0)] | None = None
    """Replicas keep parameters of their own; this share of their distance to the centre goes each step."""

    noise_std: Annotated[float, Share(1e3)] | None = None
    """Standard deviation of the noise that each update adds to every parameter."""

    momentum: Fraction | None = None
    """Momentum of the update, in place of model.optimizer's."""

    symmetric: bool = False
    """Project the gradients of square matrices to their symmetric part, as for weights tied symmetric."""

    weight_decay: Annotated[float, Share(1e3)] | None = None
    """Share of a bias that is added to its gradient."""

    chain: bool = False
    """Workers go one after another, each from the parameters that the one before has left."""


class PsOptions(Options):
    """Parameter servers: workers push gradients and pull parameters."""

    servers: Workers = 1
    """Number of parameter servers, counted apart from the workers."""

    placement: Annotated[
        Literal["sliced", "balanced", "round_robin", "hash", "replicated"], Choice("placement")
    ] = "sliced"
    """Which server holds what: tensors cut over all, whole ones by size, in turn or by name; or each all."""

    slice_bytes: PositiveSize | None = None
    """Cut tensors into slices of at most this size, '4 MiB'; by default one slice a server."""

    overlap: bool = False
    """Push each layer's gradients while the backward pass goes on."""

    priority: bool = False
    """With overlap: links and servers take what belongs to earlier layers first."""

    colocate: bool = False
    """Servers live on the workers' machines, in turn, and share their links; they cost nothing more."""

    local_merge: bool = False
    """The devices of a machine add up their gradients first and push and pull once."""

    push_every: Annotated[int, Whole(1, 10_000)] = 1
    """Batches whose gradients a worker adds up before it pushes and pulls once."""

    pull_every: Annotated[int, Whole(1, 10_000)] = 1
    """Pushes of a worker before it pulls once; in between it trains on its own copy. Of ps-async only."""

    window: Annotated[int, Whole(1, 10_000)] = 1
    """Iterations of a worker on their way at once; with 1 it waits for the replies before it goes on."""

    update: UpdateSpec | None = None
    """How parameters are updated: {elastic, noise_std, momentum, symmetric, weight_decay, chain}."""

    credit: PositiveSize | None = None
    """Bytes of a worker's pushes in the network at once, '4 MiB'; by default all that it has to send."""


class PsSyncOptions(PsOptions):
    """Parameter servers that wait for all workers, or for all but the slowest."""

    backup_workers: Annotated[int, Whole(0, 100_000)] = 0
    """Workers that a step does without: it ends with the pushes of all the others, whoever they are."""

    late: Annotated[Literal["finish", "cancel"], Choice("late")] = "finish"
    """What workers do whose push would come too late: finish their iteration for nothing, or stop at once."""

    payload: Annotated[Literal["gradient", "model", "data"], Choice("payload")] = "gradient"
    """What a worker sends: gradients, its parameters after a step of its own, or records to compute on."""

    pull_from: Annotated[Literal["home", "all"], Choice("pull_from")] = "home"
    """With placement replicated: a worker gets a copy from its own server, or one from each."""


def _trigger_shorthand(value: Any) -> Any:
    if isinstance(value, str):
        return {read_word(value, "trigger", ("drain",)): True}
    return value


class TriggerSpec(Strict):
    """When a server updates with the pushes that it has added up."""

    count: Workers | None = None
    """As soon as it has so many; beside a timeout, if they come before it is up."""

    drain: bool | None = None
    """As soon as it is free, with all that have come."""

    timeout: PositiveDuration | None = None
    """So long after the first, '5 ms'."""


_Apart = Annotated[
    Literal["sliced", "balanced", "round_robin", "hash"],
    Choice(
        "placement",
        senseless=(
            (
                "replicated",
                "copies stay equal only if all are updated together",
                "write sliced, or take ps-sync",
            ),
        ),
    ),
]
"""Placements with one copy of everything."""


class PsAsyncOptions(PsOptions):
    """Parameter servers that wait for nobody, or for a few pushes."""

    placement: _Apart = "sliced"
    """Which server holds what: every tensor cut over all, or whole tensors by size, in turn or by name."""

    trigger: Annotated[TriggerSpec, BeforeValidator(_trigger_shorthand)] | None = None
    """When a server updates and replies: {count: 4}, drain, {timeout: 5 ms}; by default at every push."""

    softsync: Workers | None = None
    """Update at every floor(workers / n) pushes for this n, and reply without waiting for the update."""


class SspOptions(PsOptions):
    """Parameter servers with bounded staleness."""

    placement: _Apart = "sliced"
    """Which server holds what: every tensor cut over all, or whole tensors by size, in turn or by name."""

    staleness: Annotated[int, Whole(0, 1_000_000)] = 3
    """Iterations that a worker may be ahead of the slowest before its replies wait."""


class AllreduceOptions(Options):
    """Workers add up their gradients among themselves, without servers."""

    algorithm: Annotated[
        Literal["ring", "tree", "recursive-doubling", "halving-doubling", "direct", "hierarchical"],
        Choice("algorithm"),
    ] = "ring"
    """How the gradients are added up."""

    bucket: PositiveSize | None = None
    """Bytes reduced at once, '25 MiB'; by default 25 MiB with overlap, everything without."""

    overlap: bool = False
    """Reduce buckets while the backward pass goes on."""

    add_rate: Rate | None = None
    """With a ring: bytes per second at which what arrives is added to a worker's own; by default at once."""

    copy_rate: Rate | None = None
    """With a ring: bytes per second at which sums that arrive are stored; by default at once."""


class PipelineOptions(Options):
    """The model cut into stages, one a worker; micro-batches flow through them."""

    schedule: Annotated[Literal["gpipe", "1f1b", "interleaved"], Choice("schedule")] = "gpipe"
    """Order of forward and backward passes in a stage."""

    chunks: Annotated[int, Whole(2, 10_000)] | None = None
    """With interleaved: parts of the model that each stage holds; by default 2."""

    stages: Workers | None = None
    """Number of stages; by default one a worker."""

    microbatches: Batch | None = None
    """Number of micro-batches that a step is cut into."""

    recompute: bool = False
    """Keep a stage's inputs only, and compute its forward pass once more before the backward pass."""


_AGREE = "the copies agree, and each record is predicted once", "write concat, or take an ensemble"
_REPEAT = "every device predicts all the records", "write mean, sum or vote, or take replicated"


class ReplicatedOptions(Options):
    """Devices with the same parameters that predict shares of the records; nothing is trained."""

    combine: Annotated[
        Literal["concat"],
        Choice("combine", senseless=(("mean", *_AGREE), ("sum", *_AGREE), ("vote", *_AGREE))),
    ] = "concat"
    """What the host makes of the outputs: it puts them one after another, in the order of the records."""


class EnsembleOptions(Options):
    """Devices with parameters of their own that all predict all records; nothing is trained."""

    combine: Annotated[
        Literal["mean", "sum", "vote"], Choice("combine", senseless=(("concat", *_REPEAT),))
    ] = "mean"
    """What the host makes of the outputs of a record: their mean, their sum, or a vote of their classes."""


class TensorOptions(Options):
    """Linear layers cut over devices, each of which computes a share of their outputs."""

    devices: Workers | None = None
    """Devices that layers are cut over; by default all workers."""


KindOptions = (
    SingleOptions
    | HostedOptions
    | PsSyncOptions
    | PsAsyncOptions
    | SspOptions
    | AllreduceOptions
    | PipelineOptions
    | ReplicatedOptions
    | EnsembleOptions
    | TensorOptions
)

KINDS: dict[str, type[KindOptions]] = {
    "single": SingleOptions,
    "hosted": HostedOptions,
    "ps-sync": PsSyncOptions,
    "ps-async": PsAsyncOptions,
    "ps-ssp": SspOptions,
    "allreduce": AllreduceOptions,
    "pipeline": PipelineOptions,
    "replicated": ReplicatedOptions,
    "ensemble": EnsembleOptions,
    "tensor": TensorOptions,
}
"""Options of each kind that this version models."""

PREDICTING = frozenset({"replicated", "ensemble"})
"""Kinds that predict and learn nothing."""

UNEVEN = frozenset({"single", "hosted", "ps-sync", "allreduce", "pipeline", "tensor", *PREDICTING})
"""Kinds whose workers may have different numbers of samples in a step."""

HOSTED = frozenset({"hosted", *PREDICTING})
"""Kinds with a host, one machine that is called and linked as a server is."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """One entry of ``strategies``."""

    name: str
    """Unique in the scenario."""

    kind: str
    """A key of :data:`KINDS`."""

    index: int
    """Place in the list, from 0."""

    options: KindOptions
    """The options of its kind."""
