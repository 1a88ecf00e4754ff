"""Programs that are textbook queues: arrivals at random times, and servers with drawn service times.

A source is a task without time that follows its own last instance after a drawn lag, one customer an
iteration. What customers ask of a server are the durations of its task, or stretches of messages of one byte.
"""

from dataclasses import replace

import numpy as np

from simpar.program import Op, ProgramBuilder
from simpar.simulate import simulate

SHORTEST = 1e-9
"""No drawn time is shorter; a program takes none below a picosecond."""


class Queues:
    """A program of queues under construction."""

    def __init__(self, seed, customers):
        self.rng = np.random.default_rng(seed)
        self.customers = customers
        self.builder = ProgramBuilder("queues", customers)
        self._lags, self._stretch = {}, {}

    def poisson(self, rate, *, every=1, name="arrive"):
        """Return *every* sources, which take turns at each iteration: together a Poisson process."""
        sources = [self.builder.gather(f"{name}{k}", []) for k in range(every)]
        for k, source in enumerate(sources):
            after = sources[(k + 1) % every]
            self._lags[source, after] = self.exponential(1 / rate)
            self.builder.edge(source, after, distance=int(k == every - 1))
        return sources

    def exponential(self, mean):
        """Return a time for every iteration."""
        return np.maximum(self.rng.exponential(mean, self.customers), SHORTEST)

    def server(self, name, times, after, *, capacity=1, discipline="fifo", priority=0, on="server"):
        """Add a task that takes *times* at the resource *on*, and return it."""
        resource = self.builder.resource(on, "server", capacity=capacity, discipline=discipline)
        return self.builder.task(name, Op("apply"), resource, times.tolist(), after, priority=priority)

    def message(self, name, sizes, after, *, link="shared"):
        """Add a message of *sizes* bytes on a channel of its own, over a link of a byte a second."""
        each = {"latency": 0.0, "after": after}
        task, _ = self.builder.message(name, Op("push"), name, link, [(link, 1.0)], 1.0, **each)
        self._stretch[task] = sizes
        return task

    def run(self):
        """Return the trace of both engines, which must be the same."""
        program = self.builder.build()
        lags = {
            edge: self._lags[u, v] for edge, (u, v, *_) in enumerate(program.edges()) if (u, v) in self._lags
        }
        program = replace(program, lags=lags, stretch=self._stretch)
        assert program.check() == []
        trace = simulate(program, "compiled")
        assert trace.digest() == simulate(program, "reference").digest()
        return trace


def rows(trace, task):
    """Return the rows of *task*, one an iteration, in order."""
    return np.flatnonzero(trace.task == task)


def waits(trace, task):
    """Return the seconds from ready to start, by iteration."""
    return trace.start_s[rows(trace, task)] - trace.ready_s[rows(trace, task)]


def sojourns(trace, task):
    """Return the seconds from ready to end, by iteration."""
    return trace.end_s[rows(trace, task)] - trace.ready_s[rows(trace, task)]


def mean_value_analysis(customers, think, demands):
    """Return the throughput of a closed network (Reiser and Lavenberg, J. ACM 27(2), 1980).

    R_k(N) = D_k (1 + Q_k(N - 1)), X = N / (Z + sum of R_k), Q_k = X R_k.
    """
    queued, rate = [0.0] * len(demands), 0.0
    for n in range(1, customers + 1):
        takes = [demand * (1 + queue) for demand, queue in zip(demands, queued, strict=True)]
        rate = n / (think + sum(takes))
        queued = [rate * one for one in takes]
    return rate
