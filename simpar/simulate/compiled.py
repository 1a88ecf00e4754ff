"""The compiled engine: one loop over the columns of a program, its template never unrolled.

It gives the traces of :mod:`simpar.simulate.reference` to the last bit. Small programs run on lists, in plain
Python; large ones are worth the time that loading the compiled loop takes. The loop comes back often, so that
an interrupt is heard and progress can be shown. Start with :class:`CompiledEngine`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simpar.errors import EngineError
from simpar.program import Program
from simpar.program.collecting import uncollected
from simpar.simulate import flows, gathers, heap, loop, places, queues
from simpar.simulate.columns import as_arrays, as_lists, grown, widened
from simpar.simulate.flow_state import arrays
from simpar.simulate.flow_state import network as network_state
from simpar.simulate.jit import is_kept, twins
from simpar.simulate.layout import Layout
from simpar.simulate.queues import ring_add
from simpar.simulate.rings import Rings, of_template
from simpar.trace import NodeLog, Totals, Trace

WORTH_LOADING = 200_000
"""Instances that a process has run from which the compiled loop pays for being loaded: some 0.3 s."""

WORTH_COMPILING = 5_000_000
"""The same where it has to be compiled first, once a machine: some 15 s."""

TURN_OF_LISTS, TURN_OF_ARRAYS, TURN_OF_FLOWS = 10_000, 200_000, 5_000
"""Instances between two looks at whether somebody interrupts: less than 0.1 s each."""

Progress = Callable[[int, int], None]


class CompiledEngine:
    """Run one program. Made for one run; :meth:`run` returns its trace."""

    def __init__(
        self,
        program: Program,
        progress: Progress | None = None,
        *,
        keep: int | None = None,
        jit: bool | None = None,
        by_events: bool = False,
    ) -> None:
        """Prepare *program*, which must be valid (:meth:`Program.check`).

        Args:
            keep: how many of the last iterations to keep rows of; None for all, 0 for none.
            jit: whether to compile the loop; None for whatever is faster.
            by_events: leave nothing to the order in which it should come.
        """
        self.program, self._progress, self._by_events = program, progress, by_events
        self._first = 0 if keep is None else max(0, program.iterations - keep)
        self.note = ""
        self._run: Callable[..., int] = loop.run
        self._must = jit is True
        self.jit = _pays(len(program) * program.iterations) if jit is None else jit
        if self.jit:
            try:
                self._run = compiled_loop()
            except Exception as error:  # numba is missing, or too old for this Python
                self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        """Take the loop in plain Python, since *error* keeps the compiled one from being had."""
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        if self._must:
            raise EngineError(f"the loop cannot be compiled here: {said}") from None
        self.jit, self._run = False, loop.run
        self.note = f"simulated in plain Python, about 50 times slower: numba cannot be used ({said})"

    def run(self) -> Trace:
        """Run to the end and return the trace.

        Raises:
            EngineError: some instances never became ready; the message names them and what they wait for.
        """
        with uncollected():
            return self._go()

    def _go(self) -> Trace:
        program = self.program
        layout = Layout(program, self._first, self._by_events, streams=self.jit)
        width = 2
        while width <= int(layout.reach.max(initial=0)):
            width *= 2
        state = like = layout.state(width)
        columns: Any = layout.columns
        network: Any = network_state(
            [link.bytes_per_s for link in program.links],
            program.shared_routes,
        )
        if self.jit:
            network = arrays(network)
        else:
            columns, state = as_lists(columns), _listed(state)
        turn = TURN_OF_LISTS
        if self.jit:
            turn = TURN_OF_FLOWS if (layout.serves >= places.CHANNEL).any() else TURN_OF_ARRAYS
        expected = len(layout.periodic) * program.iterations
        rings = Rings(program)
        status = places.PAUSED
        while True:
            if status != places.ROUNDS or state.counts[places.RING_TASK] < 0:
                try:
                    status = self._run(columns, state, network, turn)
                except Exception as error:  # compiled when it is first called: nothing has run yet
                    if not self.jit:
                        raise
                    self._give_up(error)
                    return self._go()
            if status == places.DONE:
                break
            if status == places.PAUSED:
                if self._progress:
                    self._progress(min(int(state.counts[places.ROWS]), expected), expected)
            elif status == places.OVERTAKEN:
                return self._again(program, by_events=True)
            elif status == places.ROUNDS and self._has_room(layout, state):
                if not self._rounds(layout, state, rings):
                    return of_template(self._again(program.expanded()), program)
            else:
                mended = state if self.jit else _unlisted(state, like)
                if status == places.WIDEN:
                    slots, joins = len(layout.windowed), bool(program.joins)
                    mended = widened(mended, slots, joins, layout.needs, layout.come, layout.slot_of_lane)
                else:
                    mended = grown(mended, layout.columns.margin, layout.columns.burst)
                state = mended if self.jit else _listed(mended)
        done = int(state.counts[places.ROWS])
        if done < expected + int(sum(state.updates)):
            raise EngineError(self._stuck(layout, state))
        if self._progress:
            self._progress(done, done)
        return self._trace(layout, state)

    def _again(self, program: Program, by_events: bool = False) -> Trace:
        """Run *program* from the beginning, in an order that was not foreseen."""
        kept = self.program.iterations - self._first
        again = CompiledEngine(program, self._progress, jit=self.jit, by_events=by_events, keep=kept)
        again.note = self.note
        return again.run()

    def _has_room(self, layout: Layout, state: Any) -> bool:
        """Say whether the ring buffer has room for the tokens of all lanes."""
        counts = state.counts
        waiting = int(counts[places.TAIL] - counts[places.HEAD])
        return waiting + layout.columns.burst <= int(state.limits[places.MASK]) + 1

    def _rounds(self, layout: Layout, state: Any, rings: Rings) -> bool:
        """Send the messages of the ring whose lanes are all ready; say whether they came in their order."""
        counts, width = state.counts, int(state.limits[places.WIDTH])
        task, iteration = int(counts[places.RING_TASK]), int(counts[places.RING_ITERATION])
        counts[places.RING_TASK] = -1
        rounds = rings.rounds[task]
        ring = rounds.ring
        lanes, slot = len(ring.exits), int(layout.slot[task])
        inside, first = iteration & (width - 1), int(layout.first_lane[slot]) * width
        entered = np.array(state.entered[first + inside : first + lanes * width : width], dtype=np.float64)
        last = rings.run(ring, entered)
        if last is None:
            return False
        place = slot * width + inside
        state.missing[place] = lanes
        state.is_fired[place] = 1
        lowest = int(state.fired[slot])
        while state.is_fired[slot * width + (lowest & (width - 1))]:
            state.is_fired[slot * width + (lowest & (width - 1))] = 0
            lowest += 1
        state.fired[slot] = lowest
        ends = last.end.tolist()
        clock = max(float(state.clocks[places.LAST]), max(ends))
        state.clocks[places.LAST] = clock
        state.clocks[places.HORIZON] = max(float(state.clocks[places.HORIZON]), clock)
        for code, end in enumerate(ends, len(self.program) + task):
            ring_add(state, code, iteration, end)
        counts[places.ROWS] += lanes
        for resource, seconds in zip(
            self.program.resource[list(ring.exits)].tolist(), rounds.busy_s.tolist(), strict=True
        ):
            state.busy[resource] += seconds
        if iteration >= int(state.limits[places.KEEP]):
            row = int(layout.row[task]) + iteration * int(layout.row_step[task])
            state.ready[row : row + lanes] = last.ready if self.jit else last.ready.tolist()
            state.start[row : row + lanes] = last.start if self.jit else last.start.tolist()
            state.end[row : row + lanes] = last.end if self.jit else ends
        return True

    def _trace(self, layout: Layout, state: Any) -> Trace:
        program = self.program
        periodic, kept = layout.periodic.astype(np.int32), layout.kept
        task = np.tile(periodic, kept)
        iteration = np.repeat(np.arange(self._first, program.iterations, dtype=np.int32), len(periodic))
        columns = [np.asarray(getattr(state, name)) for name in ("ready", "start", "end")]
        if program.batches and kept:
            many = [int(number) for number in state.updates]
            rows = [
                np.arange(first, first + number)
                for first, number in zip(
                    layout.row[list(program.batch_of_update)].tolist(), many, strict=True
                )
            ]
            updates = [
                np.full(len(one), task) for one, task in zip(rows, program.batch_of_update, strict=True)
            ]
            task = np.concatenate([task, *updates]).astype(np.int32)
            numbers = [np.arange(number) for number in many]
            iteration = np.concatenate([iteration, *numbers]).astype(np.int32)
            order = np.lexsort((task, iteration))
            at = np.concatenate([np.arange(len(periodic) * kept), *rows])[order]
            task, iteration = task[order], iteration[order]
            columns = [column[at] for column in columns]
        return Trace(
            program=program,
            engine="compiled",
            task=task,
            iteration=iteration,
            resource=program.resource[task],
            ready_s=columns[0],
            start_s=columns[1],
            end_s=columns[2],
            nodes=self._log(layout, state) if program.batches or program.joins else None,
            totals=Totals(
                int(state.counts[places.ROWS]) + program.folded * program.iterations,
                float(state.clocks[places.LAST]),
                np.array(state.busy, dtype=np.float64),
            ),
            note=self.note,
        )

    def _log(self, layout: Layout, state: Any) -> NodeLog:
        """Return what the joins and batches did."""
        program = self.program
        counts = state.counts
        senders = np.array([s for b in program.batches.values() for s in b.senders], dtype=np.int64)
        update = np.array([b.update for b in program.batches.values() for _ in b.senders], dtype=np.int64)
        tokens = int(counts[places.TOKENS])
        code = np.asarray(state.token_code, dtype=np.int64)[:tokens]
        number = np.asarray(state.token_number, dtype=np.int64)[:tokens]
        place = self._places(layout, state, tokens)
        iteration = np.asarray(state.token_iteration, dtype=np.int64)[:tokens]
        order = np.lexsort((place, number, update[code])) if tokens else np.zeros(0, dtype=np.int64)
        members: Any = (
            np.stack([update[code], number, senders[code], iteration], axis=1)[order] if tokens else []
        )
        short = np.flatnonzero(np.asarray(state.is_short))
        flushed = []
        for first, batch in zip(layout.columns.first_update.tolist(), program.batches.values(), strict=False):
            mine = short[(short >= first) & (short < first + program.iterations * len(batch.senders))]
            flushed += [(batch.update, int(row) - first) for row in mine]
        return NodeLog(
            members=np.array(members, dtype=np.int32).reshape(-1, 4),
            flushed=np.array(sorted(flushed), dtype=np.int32).reshape(-1, 2),
            dropped=self._dropped(state),
        )

    def _places(self, layout: Layout, state: Any, tokens: int) -> NDArray[np.int64]:
        """Return the place of each token among the members of its update."""
        place = np.zeros(tokens, dtype=np.int64)
        following = state.token_next
        for batch, first in enumerate(layout.columns.first_update[:-1].tolist()):
            for number in range(int(state.updates[batch])):
                token, at = int(state.members[first + number]), 0
                while token >= 0:
                    place[token] = at
                    token, at = int(following[token]), at + 1
        return place

    def _dropped(self, state: Any) -> NDArray[np.int32]:
        """Return the (join, iteration, sender) of the tokens that came after the k-th."""
        many = int(state.counts[places.ARRIVALS])
        join, iteration, sender = (
            np.asarray(getattr(state, f"arrival_{name}"), dtype=np.int64)[:many]
            for name in ("join", "iteration", "sender")
        )
        time = np.asarray(state.arrival_time)[:many]
        order = np.lexsort((sender, time, iteration, join))
        join, iteration, sender = join[order], iteration[order], sender[order]
        begins = np.ones(many, dtype=np.bool_)
        begins[1:] = (join[1:] != join[:-1]) | (iteration[1:] != iteration[:-1])
        first = np.maximum.accumulate(np.where(begins, np.arange(many), 0))
        k = np.array([self.program.joins.get(task, 0) for task in range(len(self.program))], dtype=np.int64)
        late = np.arange(many) - first >= k[join]
        return np.stack([join, iteration, sender], axis=1)[late].astype(np.int32)

    def _stuck(self, layout: Layout, state: Any) -> str:
        """Say which instances never became ready, and what they lack."""
        program, width = self.program, int(state.limits[places.WIDTH])
        lacking = []
        for slot, task in enumerate(layout.windowed.tolist()):
            first = int(state.fired[slot])
            for iteration in range(first, min(first + width, program.iterations)):
                lacks = int(state.missing[slot * width + (iteration & (width - 1))])
                needs = int(layout.needs[slot])
                if lacks > 0 and (lacks < needs or iteration == first):
                    lacking.append((iteration, task, lacks, needs))
        named = ", ".join(
            f"{program.tasks[task]} of iteration {iteration} (lacks {lacks} of {needs} tokens)"
            for iteration, task, lacks, needs in sorted(lacking)[:5]
        )
        if not lacking:  # no valid program comes here, and what waits for one token only is not kept track of
            named = "; ".join(str(problem) for problem in program.check())
        return (
            f"deadlock in {program.name}: {int(state.counts[places.ROWS])} instances ran, "
            f"waiting are {named}; "
            f"the last thing happened at {float(state.clocks[places.NOW]):.9g} s"
        )


_instances = 0
"""Instances that this process has run on lists."""


def _pays(instances: int) -> bool:
    """Say whether *instances* more are worth the compiled loop, which runs everything once it is loaded."""
    global _instances
    if compiled_loop.cache_info().currsize:
        return True
    _instances += instances
    if _instances < WORTH_LOADING:
        return False
    return _instances >= WORTH_COMPILING or is_kept(loop.run, [_names()[name] for name in _functions()])


_PAGES = (flows, heap, queues, gathers, loop)


@cache
def _names() -> dict[str, Any]:
    """Return all that the compiled loop is made of and refers to, by name."""
    names: dict[str, Any] = {}
    for page in _PAGES:
        names |= vars(page)
    # The heap of pairs gives way to the one of two columns; what remembers rates, to what works them out.
    names |= {name: names[f"{name}_array"] for name in ("push", "drop", "swap", "first_time", "first_key")}
    names["settle"] = flows.settle
    return names


def _functions() -> list[str]:
    """Return the names of the functions of the loop's pages."""
    own = {page.__name__ for page in _PAGES}
    return [name for name, one in _names().items() if isinstance(one, FunctionType) and one.__module__ in own]


@cache
def compiled_loop() -> Callable[..., int]:
    """Return the compiled twin of :func:`simpar.simulate.loop.run`.

    Raises:
        ImportError: numba is not installed.
    """
    found: Callable[..., int] = twins(_names(), _functions(), ["run"], allocates=False)["run"]
    return found


def _listed(state: Any) -> Any:
    """Return *state* with lists in the place of arrays; the heap becomes one of pairs."""
    many = int(state.counts[places.EVENTS])
    pairs = list(zip(state.heap_time[:many].tolist(), state.heap_key[:many].tolist(), strict=True))
    return as_lists(state)._replace(heap_time=pairs)


def _unlisted(state: Any, like: Any) -> Any:
    """Return *state* with arrays again, of the types of *like*."""
    pairs = sorted(state.heap_time)  # a sorted list is a heap
    size = state.limits[places.MOST_EVENTS]
    heap_time, heap_key = np.zeros(size), np.zeros(size, dtype=np.int64)
    heap_time[: len(pairs)] = [time for time, _ in pairs]
    heap_key[: len(pairs)] = [key for _, key in pairs]
    arrays = as_arrays(state._replace(heap_time=None, heap_key=None), like)
    return arrays._replace(heap_time=heap_time, heap_key=heap_key)
