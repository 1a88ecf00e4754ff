"""Servers that make a mean of models, and servers that hold copies of one model, with real parameters.

Copies sum up in a ring: chunk c begins at server c with what its own workers sent, in their order, and
collects the others' on its way. All then have the same sum to the last bit, and make the same update.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simpar.execute.optimizers import Optimizer
from simpar.execute.order import Token
from simpar.execute.parties import Array, Chunk, Pushed, Server, loads_of
from simpar.execute.plan import KeyId, Plan, Share


@dataclass(frozen=True, slots=True)
class Records:
    """Records of one worker's batch, on their way to the server that computes on them."""

    worker: int
    iteration: int


def summed(pushes: Sequence[Pushed]) -> tuple[Array, int]:
    """Return the sum of *pushes* in the order of their workers, and of how many samples they are."""
    order = sorted(pushes, key=lambda push: (push.worker, push.iteration))
    total, samples = order[0].values, order[0].samples
    for push in order[1:]:
        total, samples = total + push.values, samples + push.samples
    return total, samples


class Averager(Server):
    """A server that is sent models, of as many samples each, and takes over their mean."""

    def apply(self, pushes: Sequence[Pushed]) -> int:
        """Take over the mean, and return of how many samples it is."""
        total, samples = summed(pushes)
        self.values = total / len(pushes)
        self.version += 1
        return samples


class Copy(Server):
    """One of several servers that hold all parameters each."""

    def __init__(self, key: KeyId, values: Array, optimizer: Optimizer, plan: Plan) -> None:
        """Begin with *values*, a copy of its own."""
        super().__init__(key, values, optimizer)
        self._plan = plan
        self._total: Array = None
        self._own: list[Pushed] = []

    def receive(self, tokens: Sequence[Token]) -> None:
        """Take what its workers sent, once a step, and add or take over what its neighbour did."""
        loads = list(loads_of(tokens))
        if self._total is None:
            self._own = [load for load in loads if isinstance(load, Pushed)]
            self._total = summed(self._own)[0].copy()
        for load in loads:
            if isinstance(load, Chunk) and not load.taken:
                load.taken = True
                place = slice(load.share.begin, load.share.end)
                values = self._total[place]
                self._total[place] = values + load.values if load.share.adds else load.values

    def send(self, share: Share, to: int) -> Chunk:
        """Return a copy of what *share* says of the sum."""
        assert self._total is not None, "a server sends what it has received"
        return Chunk(share, to, self._total[share.begin : share.end].copy())

    def apply(self, pushes: Sequence[Pushed]) -> int:
        """Update with the sum of all servers, and return of how many samples it is."""
        plan, self._own = self._plan, []
        if plan.pushes_models:
            self.values = self._total / len(plan.workers)
        else:
            self.values = self._optimizer.step(self.values, self._total / plan.global_batch)
        self._total = None
        self.version += 1
        return plan.global_batch

    @property
    def pushes(self) -> Sequence[Pushed]:
        """What its own workers sent since the update before."""
        return self._own
