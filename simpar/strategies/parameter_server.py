"""What synchronous and asynchronous parameter servers share: who holds what, and the way there and back.

A worker computes, *pushes* gradients to the servers that hold the parameters, and *pulls* the new
parameters back. Without overlap there is one message a (worker, server) after the whole backward.
With overlap every slice of a tensor goes on its own as soon as its layer's backward has ended, and
the forward of a layer waits for that layer's slices only (wait-free backpropagation, Zhang et al.,
Poseidon, USENIX ATC 2017).

With ``colocate`` the servers live on the workers' machines, in turn, and share their links. With
``local_merge`` the devices of a machine send their gradients to its first one, which pushes the sum and hands
the new parameters round: one push and one pull a machine.

How much goes at once is a worker's to say. With ``push_every`` it adds up the gradients of several batches
and then pushes once; with ``pull_every`` it pulls only after several pushes. With ``window`` it goes on to
the next iteration before the replies are there, on the parameters that it got *window* iterations ago. With
``credit`` a push waits until those before it have left no more than so many bytes in the network; a server's
word that one has arrived takes one latency.

What a server does with a push is the strategy's own: :mod:`simpar.strategies.ps_sync`,
:mod:`simpar.strategies.ps_async`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from simpar.cost import memory
from simpar.program import MOST_TASKS, Op, Program
from simpar.scenario.options import PsOptions
from simpar.strategies import data
from simpar.strategies.common import Group, Setting, Star, groups, pass_times, tensor_elements
from simpar.strategies.flow_control import Sent, hold_back
from simpar.strategies.server_cycles import Cycles
from simpar.workload.placement import Slice, loads, place


@dataclass(frozen=True, slots=True)
class Key:
    """What is pushed, applied and pulled as one message."""

    index: int
    """Index into the placement's slices, or -1 for everything that the server holds."""
    server: int
    bytes: float
    group: int
    """The group of layers it belongs to."""

    @property
    def end(self) -> str:
        """How the names of its tasks end."""
        return f".{self.index}" if self.index >= 0 else ""


Apply = Callable[[Key, Sequence[int], int], Sequence[int]]
"""Given a key, the push of each pusher that has arrived, and its turn (-1 for the last before a pull), add
the server's tasks and return, for each pusher, the task that its pull waits for."""


def least_tasks(setting: Setting) -> int:
    """Return how many tasks an iteration has at least, counted without writing any down.

    Those are the passes of each worker over each group of layers, and a push and a pull of each pusher for
    each slice (without overlap, for each server that holds any); of asynchronous training an update, too. 0
    where the model is cut into too many slices, which is said otherwise.
    """
    options, workers, workload = setting.strategy.options, setting.cluster.workers, setting.workload
    assert isinstance(options, PsOptions)
    keys = _pieces(setting)
    if keys > MOST_TASKS or not keys:
        return 0
    if not options.overlap:
        counts = [count for _, count in tensor_elements(workload)]
        most = {"sliced": max(counts), "hash": 1}.get(options.placement, len(counts))
        keys = min(options.servers, most)
    pushers = workers // setting.cluster.devices_per_node if options.local_merge else workers
    passes = 2 * options.push_every * options.pull_every * (len(groups(workload)) if options.overlap else 1)
    return workers * passes + pushers * keys * (2 if setting.strategy.kind == "ps-sync" else 3)


def _slice_elements(setting: Setting) -> int | None:
    """Return the elements of the largest slice that ``slice_bytes`` allows, None where it is not given."""
    options = setting.strategy.options
    assert isinstance(options, PsOptions)
    return None if options.slice_bytes is None else int(options.slice_bytes // setting.workload.dtype_bytes)


def _pieces(setting: Setting) -> int:
    """Return into how many slices the model is cut at least."""
    options, most = setting.strategy.options, _slice_elements(setting)
    assert isinstance(options, PsOptions)
    return sum(
        max(
            min(options.servers, count) if options.placement == "sliced" else 1,
            count // most if most else 0,
        )
        for _, count in tensor_elements(setting.workload)
    )


class Servers:
    """One strategy with parameter servers under construction."""

    def __init__(self, setting: Setting, iterations: int | None = None) -> None:
        options = setting.strategy.options
        assert isinstance(options, PsOptions)
        self.setting, self.options = setting, options
        self.star = Star(setting, iterations)
        self.workers = setting.cluster.workers
        self.by_priority = options.priority and options.overlap
        """Whether links and servers take earlier layers first; without overlap all go together."""
        self.batches = options.push_every * options.pull_every
        """Batches of a worker in an iteration, which ends with a pull."""
        self.pushes_models = getattr(options, "payload", "gradient") == "model"
        """Whether workers make a step of their own and push parameters."""
        self.share = setting.cluster.devices_per_node if options.local_merge else 1
        """Workers whose gradients are one push."""
        self.pushers = list(range(0, self.workers, self.share))
        """The workers that push: all, or the first of each machine."""
        workload = setting.workload
        itemsize = workload.dtype_bytes
        slice_elements, elements = _slice_elements(setting), tensor_elements(workload)
        if slice_elements == 0:
            raise setting.refuse(
                "slice_bytes",
                f"is less than one {workload.dtype} parameter",
                f"write '{itemsize} B' or more",
            )
        pieces = _pieces(setting)
        if pieces > MOST_TASKS:
            cut = "slice_bytes" if slice_elements else "servers"
            raise setting.refuse(
                cut,
                f"cuts the model into {pieces:,} slices",
                f"write {'larger ones' if slice_elements else 'fewer'} (at most {MOST_TASKS:,} slices)",
            )
        names = [tensor.name for layer in workload.layers for tensor in layer.tensors]
        self.slices = place(elements, options.servers, options.placement, slice_elements, names)
        self.loads = [count * itemsize for count in loads(self.slices, options.servers)]
        self.groups = groups(workload) if options.overlap else [Group((0, len(workload.layers)), ())]
        self.keys = self._sliced_keys(itemsize) if options.overlap else self._whole_keys()
        self.first: list[int] = []
        """The first forward of each worker."""
        self.begin: list[int] = []
        """The first task of each worker: its load where data is read, else its first forward."""
        self.last: list[int] = []
        """The last backward of each worker."""
        self.held_back = False
        """Whether the credit makes any push wait."""
        self.cycles = Cycles(
            self.star,
            self.loads,
            self._exposed_loads(),
            self.share,
            len(workload.layers) - self.groups[-1].layers[0],
        )

    def _whole_keys(self) -> list[list[Key]]:
        """One key a server, all in one group."""
        return [[Key(-1, server, float(load), 0) for server, load in enumerate(self.loads) if load]]

    def _sliced_keys(self, itemsize: int) -> list[list[Key]]:
        """One key a slice, by group of layers."""
        group_of = {tensor: g for g, group in enumerate(self.groups) for tensor in group.tensors}
        keys: list[list[Key]] = [[] for _ in self.groups]
        for index, piece in enumerate(self.slices):
            g = group_of[piece.tensor]
            keys[g].append(Key(index, piece.server, float(piece.elements * itemsize), g))
        return keys

    # -- the program -----------------------------------------------------------------------------

    def lay(self, apply: Apply) -> None:
        """Add every worker's compute, its pushes and pulls, and in between what *apply* adds."""
        builder, workers = self.star.builder, range(self.workers)
        window, samples = self.options.window, self.setting.samples
        feeds = [
            [data.Feed(self.star, worker, samples(worker), part) for part in self._parts(worker)]
            for worker in workers
        ]
        computed = [self._up_to_the_last(worker, feeds[worker]) for worker in workers]
        for mine, (_, ends, _) in zip(feeds, computed, strict=True):
            data.reuse(self.star, mine, ends)
        forwards = [tasks for tasks, _, _ in computed]
        self.first = [tasks[0] for tasks in forwards]
        self.begin = [
            mine[0].first if mine[0].arrived else tasks[0]
            for mine, tasks in zip(feeds, forwards, strict=True)
        ]
        before = [ends[-1] for _, ends, _ in computed]
        sent: list[list[Sent]] = [[] for _ in self.pushers]
        for turn in range(self.options.pull_every - 1):
            for g in reversed(range(len(self.groups))):
                ends = [computed[worker][2][turn][g] for worker in workers]
                self._push(
                    g, [[[ends[worker]] for _ in self.keys[g]] for worker in workers], sent, apply, turn
                )
        for g in reversed(range(len(self.groups))):
            backwards = [
                self._backward(worker, g, before[worker], self._parts(worker)[-1]) for worker in workers
            ]
            before = backwards
            keys, ranks = self.keys[g], range(len(self.pushers))
            released = self._push(g, self._merge(keys, backwards), sent, apply)
            pulled: dict[tuple[int, int], int] = {}
            for turn in ranks:
                for k, key in enumerate(keys):
                    rank = (turn + k * len(self.pushers) // len(keys)) % len(self.pushers)
                    worker = self.pushers[rank]
                    _, pulled[rank, k] = self.star.pull(
                        worker, key.server, key.bytes, [released[k][rank]], key.index, self._place(key)
                    )
                    builder.edge(pulled[rank, k], forwards[worker][g], distance=window)
            for worker, arrived in self._hand_round(keys, pulled):
                builder.edge(arrived, forwards[worker][g], distance=window)
        self.last = before
        if self.options.credit is not None:
            held = [hold_back(builder, mine, self.options.credit, window) for mine in sent]
            self.held_back = any(held)
        for worker in workers:
            builder.edge(before[worker], self.first[worker], distance=1)

    def _push(
        self,
        g: int,
        after: Sequence[Sequence[Sequence[int]]],
        sent: Sequence[list[Sent]],
        apply: Apply,
        turn: int = -1,
    ) -> list[Sequence[int]]:
        """Add the pushes of group *g*, and what servers do with them; return by key whom they release.

        Args:
            after: what each push waits for, by pusher and key.
            sent: by pusher, its pushes so far; these are added.
            turn: number of the push in its iteration, -1 for the last one.
        """
        keys = self.keys[g]
        pushes: dict[tuple[int, int], int] = {}
        for shift in range(len(keys)):
            # Workers begin with different servers, so that they do not all queue at the first.
            for rank, worker in enumerate(self.pushers):
                k = (rank + shift) % len(keys)
                key = keys[k]
                first, pushes[rank, k] = self.star.push(
                    worker, key.server, key.bytes, after[rank][k], key.index, self._place(key), turn
                )
                back = self.star.way_to_server(worker, key.server, back=True)
                sent[rank].append(Sent(first, pushes[rank, k], key.bytes, back.latency_s))
        ranks = range(len(self.pushers))
        return [apply(key, [pushes[rank, k] for rank in ranks], turn) for k, key in enumerate(keys)]

    def _parts(self, worker: int) -> list[int]:
        """Return the parts of an iteration's samples that are *worker*'s: [-1] where it has one batch."""
        each = self.batches
        return [-1] if each == 1 else list(range(worker * each, (worker + 1) * each))

    def _up_to_the_last(
        self, worker: int, feeds: Sequence[data.Feed]
    ) -> tuple[list[int], list[int], list[dict[int, int]]]:
        """Add all that *worker* computes before the backward pass after whose push it pulls.

        Returns:
            The forward pass of the first batch, by group; the end of that of each batch; and of each push
            before the last, the backward pass by group whose end it waits for.
        """
        first: list[int] = []
        ends: list[int] = []
        pushed: list[dict[int, int]] = []
        for part, feed in zip(self._parts(worker), feeds, strict=True):
            before: list[int] = []
            if ends:
                (done,) = ends[-1:]
                backwards = {}
                for g in reversed(range(len(self.groups))):
                    done = backwards[g] = self._backward(worker, g, done, part - 1)
                before = [done]
                if len(ends) % self.options.push_every == 0:
                    pushed.append(backwards)
            tasks = self._forward(worker, [*before, *feed.arrived], part)
            first = first or tasks
            ends.append(tasks[-1])
        return first, ends, pushed

    def _merge(self, keys: Sequence[Key], backwards: Sequence[int]) -> list[list[list[int]]]:
        """Add what devices send to the first of their machine; return what each push waits for.

        By pusher and key. With overlap that is a message a key, else one for all of them.
        """
        waits = [[[backwards[worker]] for _ in keys] for worker in self.pushers]
        for rank, leader in enumerate(self.pushers):
            for parts in self._bundles(keys, rank):
                for worker in range(leader + 1, leader + self.share):
                    _, arrived = self._inside("merge", worker, leader, keys, parts, [backwards[worker]])
                    for k in parts:
                        waits[rank][k].append(arrived)
        return waits

    def _hand_round(self, keys: Sequence[Key], pulled: dict[tuple[int, int], int]) -> list[tuple[int, int]]:
        """Add what the first device of each machine hands to the others; return (worker, message)."""
        found = []
        for rank, leader in enumerate(self.pushers):
            for parts in self._bundles(keys, rank):
                for worker in range(leader + 1, leader + self.share):
                    after = [pulled[rank, k] for k in parts]
                    _, arrived = self._inside("hand", worker, leader, keys, parts, after)
                    found.append((worker, arrived))
        return found

    def _bundles(self, keys: Sequence[Key], rank: int) -> list[list[int]]:
        """Return the keys that go as one message inside a machine, in the order in which it pushes them."""
        order = [(rank + turn) % len(keys) for turn in range(len(keys))]
        return [[k] for k in order] if self.options.overlap else [order] if order else []

    def _inside(
        self, kind: str, worker: int, leader: int, keys: Sequence[Key], parts: list[int], after: Sequence[int]
    ) -> tuple[int, int]:
        """Add a message between *worker* and the first device of its machine."""
        key = keys[parts[0]].index
        name = f"w{worker}.{kind}" + (f".{key}" if key >= 0 else "")
        ends = (worker, leader) if kind == "merge" else (leader, worker)
        n_bytes = math.fsum(keys[k].bytes for k in parts)
        op, place = Op(kind, worker=worker, peer=leader, key=key), self._place(keys[parts[0]])
        return self.star.send(name, op, *ends, n_bytes, after, place)

    def _place(self, key: Key) -> int | None:
        """Return the priority of the messages of *key*, None where they go as they come."""
        return key.group if self.by_priority else None

    def _name(self, worker: int, what: str, g: int, part: int) -> str:
        batch = f".batch{part % self.batches}" if part >= 0 else ""
        return f"w{worker}.{what}" + (f".{g}" if len(self.groups) > 1 else "") + batch

    def _forward(self, worker: int, after: Sequence[int], part: int) -> list[int]:
        tasks: list[int] = []
        for g, group in enumerate(self.groups):
            tasks.append(
                self.star.builder.task(
                    self._name(worker, "forward", g, part),
                    Op("forward", worker=worker, layers=group.layers, part=part),
                    self.star.device(worker),
                    pass_times(self.setting, worker, self.setting.samples(worker), group.layers)[0],
                    tasks[-1:] or after,
                )
            )
        return tasks

    def _backward(self, worker: int, g: int, after: int, part: int) -> int:
        layers = self.groups[g].layers
        return self.star.builder.task(
            self._name(worker, "backward", g, part),
            Op("backward", worker=worker, layers=layers, part=part),
            self.star.device(worker),
            pass_times(self.setting, worker, self.setting.samples(worker), layers)[1],
            [after],
        )

    # -- the servers' time -----------------------------------------------------------------------

    def serve(
        self, what: str, key: Key, seconds: float, after: Sequence[int], worker: int = -1, turn: int = -1
    ) -> int:
        """Add a task of a server for *key*, which adds or applies, for one worker or for all; return it."""
        ending = key.end + (f".turn{turn}" if turn >= 0 else "")
        return self.star.builder.task(
            f"ps{key.server}.{what}" + (f".w{worker}" if worker >= 0 else "") + ending,
            Op(what, worker=worker, server=key.server, key=key.index, step=turn),
            self.star.server_cpu(key.server, self.by_priority),
            seconds,
            after,
            key.group if self.by_priority else 0,
        )

    def added(self, key: Key, pushes: Sequence[int]) -> Sequence[int]:
        """Add up each push as it comes; return the tasks that do, or the pushes where that takes no time."""
        seconds = self.add_s(key)
        if not seconds:
            return pushes
        return [
            self.serve("add", key, seconds, [push], worker)
            for worker, push in zip(self.pushers, pushes, strict=True)
        ]

    def reply(self, key: Key, worker: int, after: Sequence[int]) -> int:
        """Add the moment at which *worker* is answered; return its task."""
        op = Op("gather", worker=worker, server=key.server, key=key.index)
        return self.star.builder.gather(f"ps{key.server}.reply.w{worker}{key.end}", after, op)

    def add_s(self, key: Key) -> float:
        """Return the seconds to add one push of *key*."""
        server = self.setting.cluster.server
        return server.overhead_s + (key.bytes / server.add_bytes_per_s if server.add_bytes_per_s else 0.0)

    def update_s(self, key: Key) -> float:
        """Return the seconds to update the parameters of *key*."""
        server = self.setting.cluster.server
        return server.overhead_s + (
            key.bytes / server.update_bytes_per_s if server.update_bytes_per_s else 0.0
        )

    def add_and_update_s(self, key: Key) -> float:
        """Return the seconds to add one push of *key* and update at once, which takes it up once only."""
        return self.add_s(key) + self.update_s(key) - self.setting.cluster.server.overhead_s

    def program(self, clock: str, updates: Sequence[int], awaited: int = 0, **facts: Any) -> Program:
        """Return the program. A step ends with the updates, and not before the last backward pass.

        Args:
            awaited: how many workers a step waits for, where those are not all.
        """
        builder = self.star.builder
        if not updates or (clock == "sync" and not self.keys[0]):
            clock = "sync"
            if awaited:
                ends = [builder.join("update", self.last, awaited, Op("update"))]
            else:
                ends = [
                    builder.gather(f"w{worker}.update", [task], Op("update", worker=worker))
                    for worker, task in enumerate(self.last)
                ]
            updates = [*updates, *ends]
        return self.star.program(clock=clock, updates=updates, **(self.facts() | facts))

    def facts(self) -> dict[str, Any]:
        """Return what reports must know: memory, loads by server, the fullest server's largest tensor.

        For those who run it, ``slices`` are columns of the placement: the runs of elements of each tensor,
        counted in the model's order, that each server holds. A ``key`` is a row of them.
        """
        workload = self.setting.workload
        fullest = self.loads.index(max(self.loads)) if self.loads else -1
        held = [piece for piece in self.slices if piece.server == fullest]
        largest = max(held, key=lambda piece: (piece.elements, -piece.tensor), default=None)
        names = [tensor.name for layer in workload.layers for tensor in layer.tensors]
        n_bytes, activations = workload.parameter_bytes, workload.activation_bytes * workload.batch
        needed = self._worker_memory()
        if self.pushes_models:  # its optimizer is its own
            state = self.setting.optimizer_bytes(n_bytes // workload.dtype_bytes)
            needed = memory.all_reduce_worker(n_bytes, activations, state)
        return {
            "memory": needed,
            "samples": self.batches * self.setting.global_batch,
            "workers": self.workers,
            **self._flow_facts(),
            **self._update_facts(),
            "servers": self.options.servers,
            "placement": self.options.placement,
            "overlap": self.options.overlap,
            **({"payload": "model"} if self.pushes_models else {}),
            **({"priority": True} if self.by_priority else {}),
            **({"colocate": True} if self.options.colocate else {}),
            **({"local_merge": True, "pushers": len(self.pushers)} if self.options.local_merge else {}),
            "slices": {
                "tensor": [piece.tensor for piece in self.slices],
                "server": [piece.server for piece in self.slices],
                "start": [piece.start for piece in self.slices],
                "elements": [piece.elements for piece in self.slices],
            },
            "server_loads_bytes": self.loads,
            "server_memory_bytes": [self._server_memory(server).total for server in range(len(self.loads))],
            "fullest_server": fullest,
            "largest_tensor": names[largest.tensor] if largest else "",
            "largest_tensor_bytes": _whole(self.slices, largest) * workload.dtype_bytes if largest else 0,
            "cycle_s": self.cycles.alone_s(self.pushers[-1]) if self.loads else 0.0,
        }

    def _flow_facts(self) -> dict[str, Any]:
        """Return what is to be known of flow control, where it changes anything."""
        options, batch = self.options, self.setting.workload.batch
        found: dict[str, Any] = {}
        if options.push_every > 1:
            found["push_every"] = options.push_every
        if options.pull_every > 1:
            found["pull_every"] = options.pull_every
        if self.batches > 1:
            pieces = self.workers * self.batches
            found |= {"parts": [batch] * pieces, "global_batch": pieces * batch}
        if options.window > 1:
            found["window"] = options.window
        if self.held_back:
            found["credit_bytes"] = options.credit
        return found

    @property
    def _is_elastic(self) -> bool:
        return self.options.update is not None and self.options.update.elastic is not None

    def _worker_memory(self) -> memory.Memory:
        """Return the memory of a worker; one that is drawn to a centre runs its optimizer itself."""
        workload = self.setting.workload
        found = memory.server_fed_worker(
            workload.parameter_bytes, workload.activation_bytes * workload.batch, self.options.window
        )
        if not self._is_elastic:
            return found
        return replace(found, optimizer=self.setting.optimizer_bytes(workload.parameters))

    def _update_facts(self) -> dict[str, Any]:
        """Return how parameters are updated, where the options say more than the optimizer does.

        Raises:
            InputError: gradients are to be symmetric, and a matrix of the model is not square.
        """
        given = self.options.update
        if given is None:
            return {}
        if given.symmetric:
            self._check_square()
        said = given.model_dump(exclude_defaults=True)
        seed = {"seed": self.setting.scenario.run.seed} if given.noise_std is not None else {}
        return {"update": said | seed} if said else {}

    def _check_square(self) -> None:
        """Refuse symmetric gradients of a model with a matrix that is not square."""
        for layer in self.setting.workload.layers:
            if layer.form is None and layer.tensors:
                said = f"nothing says the shapes of {layer.name}"
                raise self.setting.refuse("update.symmetric", said, "remove it, or take an mlp")
            for shape in layer.form.tensors if layer.form is not None else ():
                if len(shape) > 1 and (len(shape) > 2 or shape[0] != shape[1]):
                    size = " x ".join(map(str, shape))
                    nearest = " or ".join(f"{n} x {n}" for n in sorted(set(shape[:2])))
                    said = f"{layer.name} has a matrix of {size}, which has no symmetric part"
                    raise self.setting.refuse("update.symmetric", said, f"make it {nearest}, or remove it")

    def _exposed_loads(self) -> list[float]:
        """Bytes by server that nothing can hide: all of them, or with overlap those of the first layers."""
        if not self.options.overlap:
            return [float(load) for load in self.loads]
        exposed = [0.0] * self.options.servers
        for key in self.keys[0]:
            exposed[key.server] += key.bytes
        return exposed

    def _server_memory(self, server: int) -> memory.Memory:
        """Return the memory of one server."""
        load = self.loads[server]
        largest = max((key.bytes for keys in self.keys for key in keys if key.server == server), default=0.0)
        elsewhere = self._is_elastic or self.pushes_models  # workers run the optimizer themselves
        elements = 0 if elsewhere else load // self.setting.workload.dtype_bytes
        state = self.setting.optimizer_bytes(elements)
        return memory.parameter_server(load, state, largest, self.setting.cluster.server.threads)


def _whole(slices: Sequence[Slice], piece: Slice) -> int:
    """Return the elements of *piece*'s tensor that its server holds."""
    return sum(s.elements for s in slices if s.tensor == piece.tensor and s.server == piece.server)
