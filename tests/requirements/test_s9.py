"""S9: how often and how much a worker sends is its own to limit: window, push_every, credit, slices."""

import math
from collections import defaultdict
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from plain_training import in_parts, one_device
from replay_lab import LAB, RATE

import simpar
from simpar.errors import InputError
from simpar.result import Measured
from simpar.result.staleness import stale_gradients
from simpar.result.traffic import account
from simpar.simulate import simulate
from simpar.trace import Walk

LAYERS = ((1.0, 2.0, 1000, 0.0),)
UNEVEN = {"compute": {"kind": "lognormal", "mean": 1, "cv": 0.5}, "replications": 1}
FAST = 1e15


def run(scene, strategy, **numbers):
    scenario = scene(strategy, **({"layers": LAYERS, "workers": 3} | numbers))
    return simulate(simpar.compile(scenario, scenario.strategies[0].name))


def rows(trace, kind):
    """Return (worker, iteration, ready, start, end, bytes) of all ops of a kind, as the trace has them."""
    program = trace.program
    columns = (trace.task, trace.iteration, trace.ready_s, trace.start_s, trace.end_s)
    return [
        (program.ops[task].worker, iteration, ready, start, end, float(program.bytes[task]))
        for task, iteration, ready, start, end in zip(*(one.tolist() for one in columns), strict=True)
        if program.ops[task].kind == kind
    ]


def peak(changes):
    """Return the most that (time, change) come to; at one time what goes, goes first."""
    level = most = 0.0
    for _, change in sorted(changes):
        level += change
        most = max(most, level)
    return most


@pytest.mark.parametrize("window", [1, 2, 4])
@pytest.mark.parametrize("sharing", ["fair", "fifo"])
def test_s9a_no_more_slices_of_a_worker_are_under_way_than_its_window(scene, agree, window, sharing):
    """A slice is under way from when it is to be pushed until its reply is there."""
    strategy = {"ps-async": {"window": window}}
    trace = run(scene, strategy, sharing=sharing, run={"steps": 12}, variation=UNEVEN)
    pushed, replied = defaultdict(lambda: math.inf), defaultdict(float)
    for worker, iteration, ready, _, _, _ in rows(trace, "push"):
        pushed[worker, iteration] = min(pushed[worker, iteration], ready)
    for worker, iteration, _, _, end, _ in rows(trace, "pull"):
        replied[worker, iteration] = max(replied[worker, iteration], end)
    most = 0.0
    for worker in range(3):
        mine = [key for key in pushed if key[0] == worker]
        most = max(most, peak([(pushed[key], 1) for key in mine] + [(replied[key], -1) for key in mine]))
    agree("slices under way", most, window)


@pytest.mark.parametrize("window", [1, 2, 3])
def test_s9a_with_a_window_a_worker_misses_its_own_updates_too(scene, measure, agree, window):
    """Between the reply that it computes on and its own apply lie window - 1 of its own and all others'."""
    found = measure(scene({"ps-async": {"window": window}}, workers=4, run={"steps": 40, "warmup": 4}))
    agree("staleness", found.staleness.mean, window * 4 - 1, rel=0.05)


@pytest.mark.parametrize("push_every", [1, 2, 5])
@pytest.mark.parametrize("kind", ["ps-sync", "ps-async", "ps-ssp"])
def test_s9b_a_worker_pushes_once_for_so_many_slices(scene, agree, kind, push_every):
    trace = run(scene, {kind: {"push_every": push_every}})
    pushes, slices = rows(trace, "push"), rows(trace, "forward")
    for worker in range(3):
        computed = sum(one[0] == worker for one in slices)
        agree("pushes", sum(one[0] == worker for one in pushes), math.ceil(computed / push_every))


def in_network(trace):
    """Return the most bytes of pushes that are in the network at once, waiting or on their way."""
    pushes = rows(trace, "push")
    return peak([(one[2], one[5]) for one in pushes] + [(one[4], -one[5]) for one in pushes])


@pytest.mark.parametrize("window", [1, 2, 3])
def test_s9c_the_network_never_holds_more_than_the_windows_of_all_workers(scene, agree, window):
    strategy = {"ps-async": {"window": window}}
    trace = run(scene, strategy, layers=((1e-6, 1e-6, 1000, 0.0),), run={"steps": 12, "stagger": "none"})
    agree("bytes at once", in_network(trace), 3 * window * 4000.0)


def test_s9c_sending_everything_at_once_gets_the_last_byte_no_sooner_and_makes_slices_wait(scene, agree):
    """Every slice has its turn: the i-th of I of all W workers ends at i W n / B, on average half of all."""
    layers, steps, run_ = ((1e-9, 1e-9, 1000, 0.0),), 20, {"steps": 20, "warmup": 0, "stagger": "none"}
    numbers = {"layers": layers, "run": run_, "server_bandwidth": 1000.0, "bandwidth": FAST}
    at_once = run(scene, {"ps-async": {"window": 1000}}, **numbers)
    in_turn = run(scene, {"ps-async": {"window": 1}}, **numbers)
    iterations = at_once.program.iterations
    assert iterations >= steps
    whole = iterations * 3 * 4.0
    pushes = rows(at_once, "push")
    agree("last byte, s", max(one[4] for one in pushes), whole, rel=1e-6)
    waits = [end - ready for _, _, ready, _, end, _ in pushes]
    agree("mean wait, s", sum(waits) / len(waits), whole * (iterations + 1) / (2 * iterations), rel=1e-6)
    shorter = [end - ready for _, _, ready, _, end, _ in rows(in_turn, "push")]
    assert max(shorter) <= 3 * 4.0 * (1 + 1e-9), "in turn, a push waits for one of each other worker"


THETA, N, B = 0.01, 4000.0, 1000.0


@pytest.mark.parametrize("slices", [1, 2, 5, 10, 20, 25, 40])
def test_s9d_slices_pushed_and_pulled_at_once_take_one_more_than_their_number(scene, measure, agree, slices):
    strategy = {"ps-sync": {"overlap": True, "slice_bytes": f"{N / slices} B"}}
    found = measure(scene(strategy, workers=1, bandwidth=B, overhead=THETA))
    agree("step, s", found.step_s - 3.0, (slices + 1) * (THETA + N / (slices * B)))


def test_s9d_the_best_number_of_slices_is_where_the_formula_has_it(scene, measure, agree):
    """k* = sqrt(n / (theta B)) = 20, of T(k*) = (sqrt(n / B) + sqrt(theta))^2."""
    counts = [8, 10, 16, 20, 25, 40, 50]
    found = {}
    for slices in counts:
        strategy = {"ps-sync": {"overlap": True, "slice_bytes": f"{N / slices} B"}}
        found[slices] = measure(scene(strategy, workers=1, bandwidth=B, overhead=THETA)).step_s - 3.0
    agree("best number of slices", min(found, key=found.get), math.sqrt(N / (THETA * B)))
    agree("step there, s", found[20], (math.sqrt(N / B) + math.sqrt(THETA)) ** 2)


@pytest.mark.parametrize("push_every", [2, 4, 10])
@pytest.mark.parametrize("kind", ["ps-sync", "ps-async"])
def test_s9e_pushing_for_several_slices_at_once_divides_communication(
    scene, measure, agree, kind, push_every
):
    """Gain (1 + a) / (1 + a / tau), a the time of communication over that of compute."""
    numbers = {"workers": 2, "server_bandwidth": FAST, "layers": LAYERS, "run": {"steps": 10}}
    once = measure(scene(kind, **numbers))
    seldom = measure(scene({kind: {"push_every": push_every}}, **numbers))
    a = 2 * 4.0 / 3.0
    gain = seldom.samples_per_s / once.samples_per_s
    agree("gain", gain, (1 + a) / (1 + a / push_every))


@pytest.mark.parametrize("sharing", ["fair", "fifo"])
@pytest.mark.parametrize("credit", [1, 2, 4, 8])
@pytest.mark.parametrize("latency", [0.0, 0.3, 2.0])
def test_s9_a_credit_of_c_slices_keeps_no_more_under_way_and_slows_a_link_that_is_far(
    scene, agree, credit, latency, sharing
):
    """Of c slices a round trip of s / B + 2 alpha the link carries min(B, c s / round trip)."""
    size, count, rate = 500.0, 8, 1000.0
    strategy = {"ps-sync": {"overlap": True, "slice_bytes": f"{size} B", "credit": f"{credit * size} B"}}
    numbers = {"bandwidth": rate, "server_bandwidth": FAST, "latency": latency, "sharing": sharing}
    trace = run(scene, strategy, workers=1, **numbers)
    program = trace.program
    sent = {}
    for task, iteration, start, end in zip(
        trace.task.tolist(),
        trace.iteration.tolist(),
        trace.start_s.tolist(),
        trace.end_s.tolist(),
        strict=True,
    ):
        if program.ops[task].kind == "push" and iteration == 1:
            begun, ended = sent.get(int(program.message[task]), (math.inf, 0.0))
            sent[int(program.message[task])] = min(begun, start), max(ended, end)
    began = min(start for start, _ in sent.values())
    round_trip = size / rate + 2 * latency
    turn = max(round_trip, credit * size / rate)
    delivered = turn * (count // credit - 1) + credit * size / rate + latency
    # Sharing first in, first out, a message's latency lies before its last link, not after it.
    agree("all slices there, s", max(end for _, end in sent.values()) - began, delivered, rel=1e-6)
    if sharing == "fair":
        spans = [(start, 1) for start, _ in sent.values()] + [(end, -1) for _, end in sent.values()]
        assert peak(spans) <= credit


def test_s9_a_credit_that_everything_fits_in_changes_nothing_and_is_said(scene, measure):
    strategy = {"ps-sync": {"servers": 2, "credit": "1 MB"}}
    found = simpar.compare(scene(strategy, {"ps-sync": {"servers": 2}}, workers=3))
    first, second = found["ps-sync"], found["ps-sync-2"]
    assert first.step_s == second.step_s
    assert any("credit" in note for note in found.notes)


@pytest.mark.parametrize("options", [{}, {"servers": 3}, {"overlap": True}])
@pytest.mark.parametrize("push_every", [2, 3])
def test_s9b_what_is_pushed_for_several_slices_is_the_sum_of_their_gradients(agree, push_every, options):
    """So that training is that of SGD on all of them at once."""
    strategy = {"ps-sync": {"push_every": push_every} | options}
    found = LAB.replay(LAB.trace(LAB.scenario(strategy, workers=2)))
    whole = 2 * push_every * LAB.BATCH
    wanted, losses = one_device(LAB.model, LAB.parameters, LAB.source, LAB.STEPS, whole, RATE)
    agree("samples learned from", found.samples, LAB.STEPS * whole)
    np.testing.assert_allclose(found.loss_by_iteration(), losses, rtol=1e-12)
    for one, other in zip(found.parameters, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("window", [2, 3])
@pytest.mark.parametrize("options", [{}, {"servers": 2, "overlap": True, "credit": "100 B"}])
def test_s9a_with_a_window_gradients_are_those_of_the_parameters_so_many_updates_before(
    agree, window, options
):
    strategy = {"ps-sync": {"window": window} | options}
    found = LAB.replay(LAB.trace(LAB.scenario(strategy, workers=3, steps=7)))
    whole, history = 3 * LAB.BATCH, [LAB.parameters]
    for step in range(7):
        old = history[max(0, len(history) - window)]
        _, gradients = LAB.model.gradient(old, *LAB.source(step * whole, whole))
        history.append([p - RATE * (g / whole) for p, g in zip(history[-1], gradients, strict=True)])
    for one, other in zip(found.parameters, history[-1], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-15)
    read = {one.iteration: one.staleness for one in found.gradients}
    agree("staleness", read[6], window - 1)


def test_s9a_the_staleness_that_is_predicted_with_a_window_is_what_replay_observes(agree):
    scenario = LAB.scenario({"ps-async": {"window": 2}}, workers=3, steps=8, cluster={"speed": [1, 0.6, 0.8]})
    trace = LAB.trace(scenario)
    seen = [one.staleness for one in LAB.replay(trace).gradients if one.iteration >= 2]
    predicted = [stale for _, _, stale in stale_gradients(trace, Measured(trace).applied, Walk(trace))]
    assert len(seen) > 12
    agree("sum of staleness", sum(predicted), sum(seen))
    assert sorted(predicted) == sorted(seen)


PARTS = 12


def handed_out(scene, speed, parts=PARTS, layers=((1.0, 2.0, 0, 0.0),), **numbers):
    """Return the trace of one step whose parts go to whoever is free, of a batch of *parts* in all."""
    workers = len(speed)
    strategy = {"hosted": {"parts": parts, "dispatch": "free"}}
    more = {"run": {"steps": 1, "warmup": 0}, "batch": parts, **numbers}
    return run(scene, strategy, workers=workers, speed=speed, layers=layers, **more)


def counts(trace):
    """Return how many parts each worker got."""
    found = defaultdict(int)
    for worker, *_ in rows(trace, "forward"):
        found[worker] += 1
    return found


@pytest.mark.parametrize("parts", [3, 7, 12, 30, 100])
@pytest.mark.parametrize("loaded", [False, True])
def test_s9f_a_device_twice_as_fast_gets_two_thirds_of_the_slices(scene, agree, parts, loaded):
    numbers = {"data": (1.0, 1e12, 2)} if loaded else {}
    found = counts(handed_out(scene, (1.0, 2.0), parts, bandwidth=FAST, **numbers))
    assert sum(found.values()) == parts
    agree("slices of the fast device", found[1], 2 * parts / 3, rel=0, abs=1)


@pytest.mark.parametrize("speed", [(1, 1, 1), (1, 0.5), (1, 3, 0.7), (0.25, 1, 1, 2)])
@pytest.mark.parametrize("parts", [1, 4, 5, 12])
def test_s9f_the_slices_take_at_most_grahams_bound_longer_than_they_could(scene, agree, speed, parts):
    """Equal slices: the best time is the parts-th smallest of i / speed. Nobody is idle while one waits.

    Graham's (2 - 1/k) is of equal devices; of others, a list schedule ends no later than the time in which
    all are busy, and one slice on the slowest more.
    """
    trace = handed_out(scene, speed, parts)
    each = 3.0 * len(speed) / parts  # a batch takes 3 s, and there is one a worker
    best = sorted(each * i / one for one in speed for i in range(1, parts + 1))[parts - 1]
    assert best * (1 - 1e-9) <= trace.end_s.max() <= parts * each / sum(speed) + each / min(speed) + 1e-9
    if len(set(speed)) == 1:
        assert trace.end_s.max() <= (2 - 1 / len(speed)) * best * (1 + 1e-9)
    spans = defaultdict(list)
    for worker, _, _, start, end, _ in rows(trace, "forward") + rows(trace, "backward"):
        spans[worker].append((start, end))
    last = max(start for found in spans.values() for start, _ in found)
    for worker in range(len(speed)) if parts >= len(speed) else ():
        busy = sorted(spans[worker])
        assert busy[0][0] == 0.0
        gaps = [after - end for (_, end), (after, _) in pairwise(busy)]
        assert max(gaps) <= 1e-9
        assert busy[-1][1] >= last - each / min(speed)


@pytest.mark.parametrize("sharing", ["fair", "fifo"])
def test_s9f_the_data_of_every_slice_crosses_the_link_from_the_store(scene, agree, sharing):
    """And each device's link carries the data of its slices: of 12, 8 go to the one twice as fast."""
    numbers = {"data": (100.0, 1e12, 2), "bandwidth": FAST, "sharing": sharing}
    found = Measured(handed_out(scene, (1.0, 2.0), **numbers))
    samples = 2  # each worker's batch is 12
    crossed = {use.name: use.bytes for use in found.uses}
    agree("from the store, bytes", crossed["store.out"], PARTS * samples * 100.0)
    agree("to the slow device, bytes", crossed["w0.in"], 4 * samples * 100.0)
    agree("to the fast device, bytes", crossed["w1.in"], 8 * samples * 100.0)
    agree("in the account, bytes", account(found.program).data_bytes, PARTS * samples * 100.0)


def test_s9f_a_device_is_sent_a_slice_when_it_has_returned_the_one_before(scene):
    numbers = {"layers": LAYERS, "data": (100.0, 400.0, 2), "run": {"steps": 3, "warmup": 0}}
    trace = handed_out(scene, (1.0, 0.6, 1.7), **numbers)
    loads, pushes = rows(trace, "load"), rows(trace, "push")
    for worker in range(3):
        begun = sorted(one[3] for one in loads if one[0] == worker)
        ended = sorted(one[4] for one in pushes if one[0] == worker)
        assert len(begun) == len(ended) > 3
        assert all(after >= before for before, after in zip(ended[:-1], begun[1:], strict=True))
    assert len(loads) == 3 * PARTS


@pytest.mark.parametrize("data", [{}, {"record_bytes": "1 kB", "store_bandwidth": "1 MB/s"}])
@pytest.mark.parametrize("parts", [3, 6, 12])
def test_s9f_who_computes_a_slice_makes_no_difference_to_what_is_learned(agree, data, parts):
    more = {"data": data} if data else {}
    strategy = {"hosted": {"parts": parts, "dispatch": "free"}}
    scenario = LAB.scenario(strategy, workers=4, cluster={"speed": [1, 2, 1, 0.5]}, **more)
    trace = LAB.trace(scenario)
    found = LAB.replay(trace)
    sizes = [12 // parts] * parts
    wanted = in_parts(LAB.model, LAB.parameters, LAB.source, LAB.STEPS, sizes, RATE)
    for one, other in zip(found.parameters, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-15)
    agree("samples learned from", found.samples, LAB.STEPS * 12)


def test_s9f_slices_that_go_to_whoever_is_free_meet_a_slow_spell_better_than_planned_ones(scene, agree):
    """Worker 0 turns out to be four times as slow as planned: of 8 parts of 0.75 s it should get few.

    Planned, its 4 parts take 12 s. Sent when free, worker 1 has done 4 by the 3 s of its first; it takes one
    more until 6 s, and worker 1 the other two.
    """
    ends = {}
    for dispatch in ("fixed", "free"):
        strategy = {"hosted": {"parts": 8, "dispatch": dispatch}}
        numbers = {"layers": ((1.0, 2.0, 0, 0.0),), "batch": 4, "run": {"steps": 1, "warmup": 0}}
        scenario = scene(strategy, workers=2, **numbers)
        program = simpar.compile(scenario, "hosted")
        slow = [task for task, op in enumerate(program.ops) if op.worker == 0 and program.seconds[task] > 0]
        durations = {task: np.full(program.most_runs(task), 4 * program.seconds[task]) for task in slow}
        ends[dispatch] = float(simulate(replace(program, durations=durations)).end_s.max())
    agree("planned, s", ends["fixed"], 4 * 4 * 0.75)
    agree("sent when free, s", ends["free"], 6.0)


def test_s9f_the_compiled_engine_is_refused_where_it_is_asked_for(scene):
    scenario = scene({"hosted": {"parts": 2, "dispatch": "free"}}, run={"engine": "compiled"})
    with pytest.raises(InputError, match="the compiled engine does not know slices that go to"):
        simpar.compare(scenario)
    assert simpar.compare(scene({"hosted": {"parts": 2, "dispatch": "free"}})).engine == "reference"


def test_s9f_what_the_reference_engine_alone_can_run_has_its_limit(scene):
    """Of 100,000 steps of 64 parts each; the compiled engine would take them."""
    numbers = {"workers": 4, "batch": 16, "run": {"steps": 100_000}}
    simpar.compile(scene({"hosted": {"parts": 64}}, **numbers), "hosted")
    with pytest.raises(InputError, match="too many to simulate; at most 5,000,000"):
        simpar.compile(scene({"hosted": {"parts": 64, "dispatch": "free"}}, **numbers), "hosted")


def test_s9f_parts_of_different_size_and_reads_in_turn_are_refused(scene):
    with pytest.raises(InputError, match="do not make 5 equal parts, as dispatch: free takes them; write 4,"):
        run(scene, {"hosted": {"parts": 5, "dispatch": "free"}}, workers=4)
    with pytest.raises(InputError, match="so that nobody waits for all to have read; remove it"):
        scene({"hosted": {"dispatch": "free", "load_barrier": True}})
    with pytest.raises(InputError, match="the store has no order to keep"):
        scene({"hosted": {"dispatch": "free", "read": "serial"}})


# -- pulling less often than pushing ----------------------------------------------------------------


@pytest.mark.parametrize("pull_every", [1, 2, 5])
@pytest.mark.parametrize("options", [{}, {"overlap": True, "servers": 2}, {"push_every": 3}])
def test_s9b_a_worker_pulls_once_for_so_many_pushes(scene, agree, pull_every, options):
    strategy = {"ps-async": {"pull_every": pull_every} | options}
    trace = run(scene, strategy, layers=LAYERS * 2)
    pushes, pulls, slices = rows(trace, "push"), rows(trace, "pull"), rows(trace, "forward")
    keys = len({(op.server, op.key) for op in trace.program.ops if op.kind == "pull"})
    groups = 2 if options.get("overlap") else 1
    for worker in range(3):
        pushed, pulled, computed = (sum(one[0] == worker for one in all_) for all_ in (pushes, pulls, slices))
        agree("pushes a pull", pushed / pulled, pull_every)
        agree("slices a push", (computed / groups) / (pushed / keys), options.get("push_every", 1))


@pytest.mark.parametrize("pull_every", [2, 3, 8])
def test_s9b_bytes_pulled_fall_and_bytes_pushed_do_not(scene, measure, agree, pull_every):
    """Of n bytes of parameters, a batch pushes n and pulls n / pull_every."""
    found = measure(scene({"ps-async": {"pull_every": pull_every}}, workers=2, run={"steps": 8}))
    parameters = account(found.program).parameters_bytes
    samples = found.program.meta["samples"]
    agree("samples of a step", samples, 2 * pull_every)
    agree("bytes a sample", parameters / samples, N * (1 + 1 / pull_every))


@pytest.mark.parametrize("pull_every", [1, 2, 4])
@pytest.mark.parametrize("workers", [1, 3, 6])
def test_s9b_who_pulls_less_often_is_staler(scene, measure, agree, pull_every, workers):
    """W (n + 1) / 2 - 1, where communication takes no time; of the pushes before a pull, n W - 1."""
    strategy = {"ps-async": {"pull_every": pull_every}}
    numbers = {"workers": workers, "layers": LAYERS, "bandwidth": FAST, "variation": UNEVEN}
    found = measure(scene(strategy, run={"steps": 250, "warmup": 5}, **numbers))
    agree("staleness", found.staleness.mean, workers * (pull_every + 1) / 2 - 1, rel=0.03, abs=1e-9)
    ops, task = found.program.ops, found.trace.task
    last = [stale for row, _, stale in found.stale_gradients() if ops[int(task[row])].step < 0]
    agree("of the last before a pull", sum(last) / len(last), pull_every * workers - 1, rel=0.03, abs=1e-9)


@pytest.mark.parametrize("options", [{}, {"servers": 2, "overlap": True}])
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_s9b_between_pulls_a_worker_trains_its_own_copy(agree, workers, options):
    """In the order of the servers' updates, which are all of a kind: each key for itself."""
    n, batch = 3, LAB.BATCH
    strategy = {"ps-async": {"pull_every": n}}
    trace = LAB.trace(LAB.scenario(strategy, workers=workers, cluster={"speed": [1, 0.6, 0.8][:workers]}))
    found = LAB.replay(trace)
    program, server = trace.program, list(LAB.parameters)
    local = {worker: list(LAB.parameters) for worker in range(workers)}
    applies = [
        (end, task, iteration)
        for task, iteration, end in zip(
            trace.task.tolist(), trace.iteration.tolist(), trace.end_s.tolist(), strict=True
        )
        if program.ops[task].kind == "apply"
    ]
    for _, task, iteration in sorted(applies):
        op = program.ops[task]
        turn = op.step if op.step >= 0 else n - 1
        first = iteration * workers * n * batch + (op.worker * n + turn) * batch
        gradients = LAB.model.gradient(local[op.worker], *LAB.source(first, batch))[1]
        server = [p - RATE * (g / batch) for p, g in zip(server, gradients, strict=True)]
        own = [p - RATE * (g / batch) for p, g in zip(local[op.worker], gradients, strict=True)]
        local[op.worker] = server if op.step < 0 else own
    for one, other in zip(found.parameters, server, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-14)
    if options:  # cut into slices, a worker that is alone learns the same
        cut = LAB.scenario({"ps-async": {"pull_every": n} | options}, workers=1)
        alone = LAB.replay(LAB.trace(cut))
        steps = int(alone.samples) // batch
        wanted, _ = one_device(LAB.model, LAB.parameters, LAB.source, steps, batch, RATE)
        for one, other in zip(alone.parameters, wanted, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("options", [{}, {"push_every": 2}, {"servers": 3, "overlap": True}])
def test_s9b_the_staleness_that_is_predicted_between_pulls_is_what_replay_observes(agree, options):
    strategy = {"ps-async": {"pull_every": 3} | options}
    trace = LAB.trace(LAB.scenario(strategy, workers=3, steps=6, cluster={"speed": [1, 0.6, 0.8]}))
    seen = [one.staleness for one in LAB.replay(trace).gradients if one.iteration >= 1]
    predicted = [stale for _, _, stale in stale_gradients(trace, Measured(trace).applied, Walk(trace))]
    assert len(seen) > 50
    assert sorted(predicted) == sorted(seen)


@pytest.mark.parametrize(
    ("strategy", "said"),
    [
        ({"ps-sync": {"pull_every": 2}}, "nobody has before the pull; write 'push_every: 2'"),
        ({"ps-ssp": {"pull_every": 2}}, "each of them is a pull; write 'push_every: 2'"),
        ({"ps-async": {"pull_every": 2, "window": 2}}, "write 1, or window: 1"),
        ({"ps-async": {"pull_every": 2, "softsync": 1}}, "write 1, or remove 'softsync'"),
        ({"ps-async": {"pull_every": 2, "trigger": {"count": 2}}}, "write 1, or remove 'trigger'"),
    ],
)
def test_s9b_pulling_less_often_is_refused_where_replies_are_waited_for(scene, strategy, said):
    with pytest.raises(InputError, match=said):
        run(scene, strategy)
