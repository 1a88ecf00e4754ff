"""Many points of a study simulated: on all cores or on a cluster, each kept as soon as it is done.

The same results, in the same order, whatever finishes first and however many processes there are: a point's
result is packed and read again even where nothing is parallel, and is put in its place by number. What a
point cannot do does not stop the others. Start with :func:`simulate_all`.
"""

from __future__ import annotations

import contextlib
import functools
import os
import pickle
import signal
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simpar.errors import InputError, Problem, SimparError
from simpar.program.collecting import uncollected
from simpar.scenario import Scenario, change
from simpar.study.alike import Alike
from simpar.study.axes import OPTION
from simpar.study.compare import compare_each
from simpar.study.kept import Outcome, pack, unpack
from simpar.study.points import Point, said
from simpar.study.store import Store, keys

FEW = 8
"""Points below which starting processes would take longer than it saves."""

MOST_RESTARTS = 3
"""Times that worker processes which were killed are started anew."""

WATCH_S = 0.5
"""Seconds between two looks of a worker process whether the study that it works for still runs."""

RunProgress = Callable[[int, int, int], None]
"""Called with (runs done, runs in all, those of them that were kept from before)."""

Result = tuple[int, dict[str, Any]]
"""Number of a point, and what came out, as :func:`simulate_point` gives it."""


@dataclass(slots=True)
class Kept:
    """What a store holds of a study."""

    keys: dict[int, bytes | None]
    """Of each point that was looked up, by number; None where it cannot be kept."""
    outcomes: dict[int, Outcome]
    """Of those that were found."""

    def look_up(
        self,
        scenario: Scenario,
        settings: Sequence[Mapping[str, Any]],
        store: Store | None,
        numbers: Iterable[int] | None = None,
    ) -> None:
        """Look for the points with these *numbers*, by default all; what cannot be read is not there."""
        asked = range(len(settings)) if numbers is None else numbers
        new = [number for number in asked if number not in self.keys]
        if store is None:
            self.keys.update(dict.fromkeys(new))
            return
        names = keys(scenario, [settings[number] for number in new])
        self.keys.update(zip(new, names, strict=True))
        for place, packed in store.find(names).items():
            with contextlib.suppress(ValueError):
                self.outcomes[new[place]] = unpack(packed)


def simulate_all(
    scenario: Scenario,
    settings: Sequence[Mapping[str, Any]],
    *,
    jobs: int | None = None,
    cluster: str | None = None,
    store: Store | None = None,
    kept: Kept | None = None,
    progress: RunProgress | None = None,
) -> list[Point]:
    """Compare the strategies of *scenario* with each of *settings*, in order.

    Args:
        jobs: processes; None is one a core.
        cluster: instead, the address of a Dask scheduler: ``dask://HOST:PORT``.
        store: where runs are kept.
        kept: what was found in it already.

    Raises:
        InputError: nothing can be simulated at any point, or the cluster cannot be reached.
    """
    kept = kept or Kept({}, {})
    kept.look_up(scenario, settings, store)
    found = dict(kept.outcomes)
    before = len(found)
    missing = [number for number in range(len(settings)) if number not in found]
    if progress:
        progress(before, len(settings), before)
    with contextlib.closing(_results(scenario, settings, missing, jobs, cluster)) as results:
        for number, result in results:
            packed, key = pack(result), kept.keys[number]
            found[number] = outcome = unpack(packed)
            if store is not None and key is not None and outcome.comparison and not outcome.broken:
                store.put(key, packed)
            if progress:
                progress(len(found), len(settings), before)
    outcomes = [found[number] for number in range(len(settings))]
    if all(outcome.comparison is None for outcome in outcomes):
        problems = [Problem(**one) for outcome in outcomes for one in outcome.problems]
        raise InputError(dict.fromkeys(problems))
    return [
        Point(changes, outcome.comparison, outcome.refused)
        for changes, outcome in zip(settings, outcomes, strict=True)
    ]


def simulate_point(packed: bytes, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the comparison at one point as plain data: what a worker process does.

    Args:
        packed: a pickled scenario.
        changes: settings to change in it first, by path.
    """
    with uncollected():
        return _simulated(*_unpacked(packed), changes)


def _simulated(scenario: Scenario, alike: Alike, changes: Mapping[str, Any]) -> dict[str, Any]:
    comparison, refused, problems, broken = None, {}, [], False
    names = [strategy.name for strategy in scenario.strategies]
    try:
        changed = change(scenario, changes, OPTION) if changes else scenario
        comparison, wrong = compare_each(changed, alike=alike)
        problems = [problem.to_dict() for each in wrong.values() for problem in each]
        refused = {name: said(each[0]) for name, each in wrong.items()}
    except SimparError as error:
        problems = [problem.to_dict() for problem in error.problems]
        refused = dict.fromkeys(names, said(error.problems[0]))
    except Exception as error:  # a fault of ours at one point is no reason to lose the others
        broken, words = True, f"internal error: {type(error).__name__}: {error}"
        problems = [Problem("", 0, 0, "", words, "").to_dict()]
        refused = dict.fromkeys(names, words)
    return {
        "comparison": comparison and comparison.to_dict(),
        "facts": comparison and comparison.facts,
        "refused": refused,
        "problems": problems if comparison is None else [],
        "broken": broken,
    }


@functools.lru_cache(maxsize=1)
def _unpacked(packed: bytes) -> tuple[Scenario, Alike]:
    """Return a scenario, and what has come out at its points."""
    scenario = pickle.loads(packed)
    assert isinstance(scenario, Scenario), type(scenario)
    return scenario, Alike()


def _results(
    scenario: Scenario,
    settings: Sequence[Mapping[str, Any]],
    missing: Sequence[int],
    jobs: int | None,
    cluster: str | None,
) -> Generator[Result, None, None]:
    """Return the result of each of the *missing* points, as they finish."""
    if not missing:
        return
    if cluster is not None:
        from simpar.study.cluster import results

        yield from results(cluster, scenario, settings, missing)
        return
    import joblib

    count = min(jobs or joblib.cpu_count(), len(missing))
    packed = pickle.dumps(scenario)
    missing = _side_by_side(settings, missing)
    if count > 1 and len(missing) >= FEW:
        yield from _in_processes(packed, settings, missing, count)
        return
    for number in missing:
        yield number, simulate_point(packed, settings[number])


def _side_by_side(settings: Sequence[Mapping[str, Any]], numbers: Sequence[int]) -> list[int]:
    """Return *numbers* of points so that those that differ in the options of strategies only are neighbours.

    Most strategies are alike at these: see :mod:`simpar.study.alike`.
    """
    groups: dict[str, list[int]] = {}
    for number in numbers:
        shared = [item for item in settings[number].items() if not item[0].startswith("strategies")]
        groups.setdefault(repr(shared), []).append(number)
    return [number for group in groups.values() for number in group]


def numbered(number: int, packed: bytes, changes: Mapping[str, Any]) -> Result:
    """Return a point's number with its result."""
    return number, simulate_point(packed, changes)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Put Ctrl-C off until the end, and start processes that never see it: they are ended by this one."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # which would unblock it, were it to begin below
    _track_quietly()
    pressed: list[int] = []
    # Blocked, for processes inherit that; and handled, for a thread of NumPy may be given it instead.
    before = signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    masked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, masked)
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt


def _track_quietly() -> None:
    """Start what removes the locks of processes that are killed, so that it does not report on each."""
    from joblib.externals.loky.backend import resource_tracker

    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = "ignore"
    try:
        resource_tracker.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONWARNINGS"]
        else:
            os.environ["PYTHONWARNINGS"] = before


def _in_worker(parent: int, number: int, packed: bytes, changes: Mapping[str, Any]) -> Result:
    _end_with(parent)
    return numbered(number, packed, changes)


@functools.cache
def _end_with(parent: int) -> None:
    """End this process soon after *parent*: of a study that is killed, none would know for five minutes."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _in_processes(
    packed: bytes, settings: Sequence[Mapping[str, Any]], missing: Sequence[int], count: int
) -> Iterator[Result]:
    """Return results from *count* processes; those that are killed are started anew, a few times."""
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import BrokenProcessPool

    # One that has grown, by compiling the engine for instance, ends when its run is done, and another starts.
    warnings.filterwarnings("ignore", "A worker stopped while some jobs were given", UserWarning)
    left = dict.fromkeys(missing)
    for _ in range(MOST_RESTARTS):
        tasks = (delayed(_in_worker)(os.getpid(), number, packed, settings[number]) for number in list(left))
        results = None
        try:
            with _undisturbed():
                results = Parallel(n_jobs=count, return_as="generator_unordered", batch_size=1)(tasks)
            for number, result in results:
                del left[number]
                yield number, result
            return
        except BrokenProcessPool:
            continue
        finally:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that some runs were cancelled: that is the purpose
                if results is not None:
                    results.close()
    said = f"worker processes were killed {MOST_RESTARTS} times, with {len(left)} runs to go"
    raise InputError([Problem("", 0, 0, "", said, "out of memory? try --jobs 1")])
