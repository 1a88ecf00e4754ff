"""Servers that each hold an identical copy of the whole model: the literal slicing algorithm.

Worker w sends all that it has to its home server, w % K. Each server adds up what its own workers sent; then
the K servers sum up among themselves, in a ring: each sends 2 (K - 1) messages of n / K to the next, of which
the receiver adds the first K - 1 to its own. Each makes the same update of its copy, and a worker gets all
parameters from its home, or with ``pull_from: all`` from every server, of which it needs one.

With ``payload: data`` a worker sends its records, and its server computes forward and backward on each batch
as it comes, on a device like those of the workers, of speed 1; where compute varies, as that worker's does.

Formula: a server's link takes in (W / K) n of pushes and 2 (K - 1) / K n from its neighbour, a worker's n, or
K n where it pulls from all. Source: bytes over each link, counted.
Left out: rings that go round while pushes still come.
"""

from __future__ import annotations

from collections.abc import Sequence

from simpar.cost import memory
from simpar.program import Op, Program
from simpar.scenario.options import PsSyncOptions
from simpar.strategies import data
from simpar.strategies.common import Setting, Star, pass_times, tensor_elements
from simpar.workload.splitting import balanced


def least_tasks(setting: Setting) -> int:
    """Return how many tasks an iteration has at least."""
    options, workers = setting.strategy.options, setting.cluster.workers
    assert isinstance(options, PsSyncOptions)
    pulls = options.servers if options.pull_from == "all" else 1
    if not setting.workload.parameter_bytes:
        return 2 * workers
    return workers * (3 + pulls) + options.servers * (2 * (options.servers - 1) + 1)


def build(setting: Setting) -> Program:
    """Return the program of synchronous training with servers that hold the whole model each.

    Raises:
        InputError: a server would have no worker, or only a part of the model that it computes with. A
            scenario is checked for both; what is tried instead of it is not.
    """
    options, workers = setting.strategy.options, setting.cluster.workers
    assert isinstance(options, PsSyncOptions)
    if options.servers > workers:
        raise setting.refuse("servers", "some servers would serve nobody", f"write at most {workers}")
    if options.servers > 1 and options.placement != "replicated":
        raise setting.refuse("payload", "servers need the whole model", "write 'placement: replicated'")
    return _Copies(setting).program()


class _Copies:
    """The program under construction."""

    def __init__(self, setting: Setting) -> None:
        options = setting.strategy.options
        assert isinstance(options, PsSyncOptions)
        self.setting, self.options, self.star = setting, options, Star(setting)
        self.workers, self.servers = range(setting.cluster.workers), range(options.servers)
        self.n_bytes = float(setting.workload.parameter_bytes)
        self.elements = sum(count for _, count in tensor_elements(setting.workload))

    def program(self) -> Program:
        """Return the program of a step."""
        builder = self.star.builder
        begins, computed = zip(*map(self._compute, self.workers), strict=True)
        if not self.n_bytes:
            done = builder.gather("update", computed, Op("update"))
            for first in begins:
                builder.edge(done, first, distance=1)
            return self._finished([done])
        ready = [self._added(server, computed) for server in self.servers]
        if len(self.servers) > 1:
            ready = self._ring(ready)
        updates = [self._serve(server, "apply", ready[server]) for server in self.servers]
        for worker, first in zip(self.workers, begins, strict=True):
            for server in self._pulled(worker):
                _, arrived = self.star.pull(worker, server, self.n_bytes, [updates[server]])
                builder.edge(arrived, first, distance=1)
        return self._finished(updates)

    def _home(self, worker: int) -> int:
        return worker % len(self.servers)

    def _pulled(self, worker: int) -> list[int]:
        """Return the servers that *worker* gets the parameters from: its own first."""
        turns = self.servers if self.options.pull_from == "all" else range(1)
        return [self._home(worker + turn) for turn in turns]

    # -- what is computed --------------------------------------------------------------------------

    def _compute(self, worker: int) -> tuple[int, int]:
        """Add what is computed for *worker*, and what it sends.

        Returns:
            The task that waits for the parameters, and the arrival at the server or the server's last task.
        """
        star, home = self.star, self._home(worker)
        feed = data.Feed(star, worker, self.setting.workload.batch)
        if self.options.payload == "data":
            first, sent = star.records(worker, home, self._batch_bytes, feed.arrived)
            data.reuse(star, [feed], [sent])
            forward_s, backward_s = self._server_passes()
            device = star.builder.resource(f"ps{home}.device", "device")
            forward = self._pass("forward", worker, home, device, forward_s, [sent])
            return first, self._pass("backward", worker, home, device, backward_s, [forward])
        device = star.device(worker)
        forward_s, backward_s = pass_times(self.setting, worker, self.setting.workload.batch, self._layers)
        forward = self._pass("forward", worker, -1, device, forward_s, feed.arrived)
        data.reuse(star, [feed], [forward])
        backward = self._pass("backward", worker, -1, device, backward_s, [forward])
        if not self.n_bytes:
            return forward, backward
        return forward, star.push(worker, home, self.n_bytes, [backward])[1]

    @property
    def _layers(self) -> tuple[int, int]:
        return 0, len(self.setting.workload.layers)

    @property
    def _batch_bytes(self) -> float:
        record_bytes = self.setting.scenario.data.record_bytes
        assert record_bytes is not None, "the scenario was checked: who sends records knows their size"
        return record_bytes * self.setting.workload.batch

    def _server_passes(self) -> tuple[float, float]:
        """Return the seconds of a batch, forward and backward, on a device of speed 1."""
        speed = self.setting.cluster.speeds[0]
        forward_s, backward_s = pass_times(self.setting, 0, self.setting.workload.batch, self._layers)
        return forward_s * speed, backward_s * speed

    def _pass(
        self, kind: str, worker: int, server: int, device: int, seconds: float, after: Sequence[int]
    ) -> int:
        """Add a pass over a batch of *worker*, computed by *server* where that is not -1."""
        name = f"w{worker}.{kind}" if server < 0 else f"ps{server}.{kind}.w{worker}"
        op = Op(kind, worker=worker, server=server, layers=self._layers)
        return self.star.builder.task(name, op, device, seconds, after)

    # -- what servers do ---------------------------------------------------------------------------

    def _added(self, server: int, computed: Sequence[int]) -> list[int]:
        """Add up what the workers of *server* sent, as it comes; return what the sum waits for."""
        own = range(server, len(self.workers), len(self.servers))
        if not self._add_s(self.n_bytes):
            return [computed[worker] for worker in own]
        return [self._serve(server, "add", [computed[worker]], worker) for worker in own]

    def _serve(self, server: int, what: str, after: Sequence[int], worker: int = -1) -> int:
        """Add a task of the CPU of *server*, for one worker or for all; return it."""
        seconds = self._add_s(self.n_bytes) if what == "add" else self._update_s()
        name = f"ps{server}.{what}" + (f".w{worker}" if worker >= 0 else "")
        op = Op(what, worker=worker, server=server)
        return self.star.builder.task(name, op, self.star.server_cpu(server), seconds, after)

    def _add_s(self, n_bytes: float) -> float:
        server = self.setting.cluster.server
        return server.overhead_s + (n_bytes / server.add_bytes_per_s if server.add_bytes_per_s else 0.0)

    def _update_s(self) -> float:
        server = self.setting.cluster.server
        updating = self.n_bytes / server.update_bytes_per_s if server.update_bytes_per_s else 0.0
        return server.overhead_s + updating

    def _ring(self, ready: Sequence[Sequence[int]]) -> list[list[int]]:
        """Add the messages by which servers sum up; return, by server, what its end waits for."""
        builder, count = self.star.builder, len(self.servers)
        itemsize = self.setting.workload.dtype_bytes
        chunks = [float(elements * itemsize) for elements in balanced(self.elements, count)]
        have = [
            builder.gather(f"ps{server}.ready", before, Op("gather", server=server))
            for server, before in enumerate(ready)
        ]
        received: list[int] = []
        for step in range(2 * (count - 1)):
            sent = []
            for server in self.servers:
                to, chunk = (server + 1) % count, (server - step) % count
                kind = "sum" if step < count - 1 else "share"
                name = f"ps{server}.{kind}.s{step}"
                op = Op(kind, server=server, peer=to, part=0, step=step, key=chunk)
                after = [have[server], *([received[server - 1]] if received else [])]
                _, arrived = self.star.between_servers(name, op, server, to, chunks[chunk], after)
                seconds = self._add_s(chunks[chunk])
                if kind == "sum" and seconds:
                    op = Op("add", server=to, part=0, step=step)
                    cpu = self.star.server_cpu(to)
                    arrived = builder.task(f"ps{to}.add.s{step}", op, cpu, seconds, [arrived])
                sent.append(arrived)
            received = sent
        return [[have[server], received[server - 1]] for server in self.servers]

    # -- what is to be known -----------------------------------------------------------------------

    def _finished(self, updates: Sequence[int]) -> Program:
        """Return the program, with what reports and those who run it must know."""
        workload, options = self.setting.workload, self.options
        sizes = [count for _, count in tensor_elements(workload)]
        copies = [(tensor, server) for server in self.servers for tensor in range(len(sizes))]
        largest = max(range(len(sizes)), key=lambda tensor: (sizes[tensor], -tensor), default=-1)
        names = [tensor.name for layer in workload.layers for tensor in layer.tensors]
        held = self._server_memory()
        activations = workload.activation_bytes * workload.batch
        worker = memory.server_fed_worker(self.n_bytes, activations)
        if options.payload == "model":
            state = self.setting.optimizer_bytes(self.elements)
            worker = memory.all_reduce_worker(self.n_bytes, activations, state)
        return self.star.program(
            clock="sync",
            updates=updates,
            samples=len(self.workers) * workload.batch,
            workers=len(self.workers),
            memory=held if options.payload == "data" else worker,
            servers=options.servers,
            placement=options.placement,
            overlap=False,
            copies=options.servers,
            pull_from=options.pull_from,
            **({} if options.payload == "gradient" else {"payload": options.payload}),
            buckets=[list(range(len(sizes)))],
            slices={
                "tensor": [tensor for tensor, _ in copies],
                "server": [server for _, server in copies],
                "start": [0 for _ in copies],
                "elements": [sizes[tensor] for tensor, _ in copies],
            },
            server_loads_bytes=[workload.parameter_bytes for _ in self.servers],
            server_memory_bytes=[held.total for _ in self.servers],
            fullest_server=0 if self.n_bytes else -1,
            largest_tensor=names[largest] if names else "",
            largest_tensor_bytes=sizes[largest] * workload.dtype_bytes if names else 0,
        )

    def _server_memory(self) -> memory.Memory:
        """Return the memory of a server: where it computes, that of a device that trains."""
        workload, n_bytes = self.setting.workload, self.n_bytes
        averages = self.options.payload == "model"
        state = 0.0 if averages else self.setting.optimizer_bytes(self.elements)
        if self.options.payload == "data":
            return memory.all_reduce_worker(n_bytes, workload.activation_bytes * workload.batch, state)
        return memory.parameter_server(n_bytes, state, n_bytes, self.setting.cluster.server.threads)
