"""The reference engine against engines that share nothing with it but the rules.

:mod:`test_compiled_engine` holds the compiled one against it.
"""

import fluid
import lindley
import pytest
import random_programs
from hypothesis import given, settings
from hypothesis import strategies as st

from simpar.simulate import simulate
from simpar.simulate.network import max_min_rates

NAMES_ENGINES = True


def rows(trace):
    columns = (trace.task, trace.iteration, trace.ready_s, trace.start_s, trace.end_s)
    return {
        (task, iteration): times
        for task, iteration, *times in zip(*(c.tolist() for c in columns), strict=True)
    }


def as_lists(found):
    return {instance: list(times) for instance, times in found.items()}


@pytest.mark.parametrize("first", range(0, 1000, 100))
def test_random_programs_run_alike_to_the_last_bit(first):
    """Half of them tie-heavy; capacities 1 to 3, priorities, lags, start edges, distances."""
    for seed in range(first, first + 100):
        program = random_programs.draw(seed, ties=seed % 2 == 0)
        assert program.check() == [], seed
        assert rows(simulate(program, "reference")) == as_lists(lindley.run(program)), seed


def nodes(trace):
    return (
        trace.nodes.members_of,
        [tuple(row) for row in trace.nodes.flushed.tolist()],
        sorted(tuple(row) for row in trace.nodes.dropped.tolist()),
    )


@pytest.mark.parametrize("first", range(0, 400, 100))
@pytest.mark.parametrize("draw", [random_programs.draw_servers, random_programs.draw_joins])
def test_random_joins_and_batches_run_alike_to_the_last_bit(draw, first):
    """Who was served with whom, what was closed short and who was dropped, too."""
    for seed in range(first, first + 100):
        program = draw(seed, ties=seed % 2 == 0)
        assert program.check() == [], seed
        trace = simulate(program, "reference")
        ran, *done = lindley.run_with_nodes(program)
        assert rows(trace) == as_lists(ran), seed
        assert trace.nodes is None or nodes(trace) == tuple(done), seed


def test_random_servers_hold_what_they_are_meant_to_try():
    seen = dict.fromkeys(["together", "flushed", "dropped", "count", "drain", "timeout", "at once"], 0)
    for seed in range(100):
        program = random_programs.draw_servers(seed, ties=seed % 2 == 0)
        trace = simulate(program, "reference")
        seen["together"] += any(len(members) > 1 for members in trace.nodes.members_of.values())
        seen["flushed"] += len(trace.nodes.flushed) > 0
        seen["dropped"] += len(trace.nodes.dropped) > 0
        for batch in program.batches.values():
            seen["at once" if batch.at_once else batch.mode] += 1
    assert min(seen.values()) >= 20, seen


@pytest.mark.parametrize("first", range(0, 400, 100))
def test_random_messages_one_at_a_time_run_alike_to_the_last_bit(first):
    for seed in range(first, first + 100):
        program = random_programs.draw_messages(seed, ties=seed % 2 == 0, sharing="fifo")
        assert program.check() == [], seed
        assert rows(simulate(program, "reference")) == as_lists(lindley.run(program)), seed


@pytest.mark.parametrize("first", range(0, 300, 100))
def test_random_messages_on_shared_links_end_at_the_same_times(first):
    for seed in range(first, first + 100):
        program = random_programs.draw_messages(seed, ties=False, sharing="fair")
        assert program.check() == [], seed
        found, wanted = rows(simulate(program, "reference")), as_lists(fluid.run(program))
        assert found.keys() == wanted.keys()
        for instance, times in wanted.items():
            assert found[instance] == pytest.approx(times, rel=1e-9, abs=1e-12), (seed, instance)


def test_random_programs_hold_what_they_are_meant_to_try():
    """A thousand programs without queues, ties, overtaking or start edges would prove nothing."""
    seen = dict.fromkeys(["queued", "tied", "started", "lagged", "several places", "priorities"], 0)
    for seed in range(100):
        program = random_programs.draw(seed, ties=seed % 2 == 0)
        ran = lindley.run(program)
        on = program.resource.tolist()
        ready = [(on[task], times[0]) for (task, _), times in ran.items() if on[task] >= 0]
        seen["queued"] += any(start > ready for ready, start, _ in ran.values())
        seen["tied"] += len(set(ready)) < len(ready)
        seen["started"] += bool(program.at_start.any())
        seen["lagged"] += bool(program.lags)
        seen["several places"] += any(resource.capacity > 1 for resource in program.resources)
        seen["priorities"] += any(resource.discipline == "priority" for resource in program.resources)
    assert min(seen.values()) >= 20, seen


@pytest.mark.parametrize("sharing", ["fifo", "fair"])
def test_fifo_resources_serve_by_ready_time_then_rank_then_iteration(sharing):
    """Tie-heavy, because then a wrong order of events shows in who is served first."""
    for seed in range(300):
        trace = simulate(random_programs.draw_messages(seed, ties=True, sharing=sharing), "reference")
        for resource in range(len(trace.program.resources)):
            queue = [
                (trace.ready_s[row], trace.task[row], trace.iteration[row], trace.start_s[row])
                for row in range(len(trace))
                if trace.resource[row] == resource
            ]
            starts = [start for *_, start in sorted(queue)]
            assert starts == sorted(starts), seed


networks = st.integers(1, 5).flatmap(
    lambda links: st.tuples(
        st.lists(
            st.lists(st.integers(0, links - 1), min_size=1, max_size=3, unique=True), min_size=1, max_size=7
        ),
        st.lists(
            st.one_of(st.sampled_from([1.0, 2.0, 3.125e9]), st.floats(1e-3, 1e10)),
            min_size=links,
            max_size=links,
        ),
    )
)


@settings(deadline=None, max_examples=300)
@given(networks)
def test_rates_are_max_min_fair(network):
    """Each flow crosses a full link on which no flow is faster: that is what max-min means."""
    routes, capacity = network
    rates = max_min_rates(routes, capacity)
    used = [
        sum(r for r, route in zip(rates, routes, strict=True) if link in route)
        for link in range(len(capacity))
    ]
    assert all(rate > 0 for rate in rates)
    assert all(u <= c * (1 + 1e-12) for u, c in zip(used, capacity, strict=True))
    for rate, route in zip(rates, routes, strict=True):
        assert any(
            used[link] >= capacity[link] * (1 - 1e-9)
            and all(r <= rate * (1 + 1e-9) for r, other in zip(rates, routes, strict=True) if link in other)
            for link in route
        )


@settings(deadline=None, max_examples=300)
@given(networks)
def test_rates_are_those_of_links_that_agree_on_levels(network):
    routes, capacity = network
    assert max_min_rates(routes, capacity) == pytest.approx(fluid.max_min(routes, capacity), rel=1e-9)


def test_three_flows_over_two_links():
    """Flow 1 gets half of link 0; flow 2 has what that leaves of link 1."""
    assert max_min_rates([(0,), (0, 1), (1,)], [1.0, 3.0]) == [0.5, 0.5, 2.5]
    assert fluid.max_min([(0,), (0, 1), (1,)], [1.0, 3.0]) == [0.5, 0.5, 2.5]
