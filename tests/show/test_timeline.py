import gzip
import hashlib
import itertools
import json
import re
from collections import defaultdict

import numpy as np
import pytest
from drawn import check_bytes

from simpar.program import Op, ProgramBuilder
from simpar.result import Comparison, Measured, Row
from simpar.show import timeline, timeline_lanes
from simpar.simulate import simulate


def server_program(
    sharing="fair", *, apply_s=1.0, rate=1.0, threads=2, workers=2, n_bytes=2.0, iterations=4, warmup=1
):
    """Two workers push 2 bytes each to one server, which applies each for 1 s, and pull them again.

    Under fair sharing, with links of 1 byte/s and 0.25 s of latency: forward 0 to 1 s, pushes to 5 s
    and there at 5.25, both applies to 6.25, pulls to 10.25 and there at 10.5, when the next begins.
    """
    b = ProgramBuilder("ps", iterations, sharing)
    forwards = [
        b.task(f"w{w}.forward", Op("forward", worker=w), b.resource(f"w{w}", "device"), 1.0)
        for w in range(workers)
    ]
    pushes = [
        b.message(
            f"w{w}.push.ps0",
            Op("push", worker=w, server=0),
            f"w{w}",
            "ps0",
            [(f"w{w}.out", rate), ("ps0.in", rate)],
            n_bytes,
            latency=0.25,
            after=[forwards[w]],
        )[1]
        for w in range(workers)
    ]
    cpu = b.resource("ps0.cpu", "server", capacity=threads)
    if apply_s:
        updates = [
            b.task(f"ps0.apply.w{w}", Op("apply", worker=w, server=0), cpu, apply_s, [pushes[w]])
            for w in range(workers)
        ]
    else:
        updates = [b.task("ps0.apply", Op("apply", server=0), cpu, 0.0, pushes)] * workers
    for w in range(workers):
        _, there = b.message(
            f"w{w}.pull.ps0",
            Op("pull", worker=w, server=0),
            "ps0",
            f"w{w}",
            [("ps0.out", rate), (f"w{w}.in", rate)],
            n_bytes,
            latency=0.25,
            after=[updates[w]],
        )
        b.edge(there, forwards[w], distance=1)
    return b.build(meta(workers, sorted(set(updates)), warmup=warmup))


def meta(workers, updates, clock="sync", warmup=1):
    return {
        "workers": workers,
        "warmup": warmup,
        "updates": updates,
        "clock": clock,
        "samples": workers,
        "kind": "ps-sync",
    }


def run(program):
    return Measured(simulate(program))


def read(measured, **how):
    measured = measured if isinstance(measured, dict) else {"ps": measured}
    return json.loads(gzip.decompress(timeline.chrome_trace(measured, **how)))


def slices(events):
    return [e for e in events if e["ph"] == "X" and e["cat"] != "step"]


def lanes(events):
    found = defaultdict(list)
    for event in events:
        if event["ph"] == "X":
            found[event["pid"], event["tid"]].append(event)
    return found


def names(events, what):
    key = "pid" if what == "process" else "tid"
    return {e[key]: e["args"]["name"] for e in events if e["ph"] == "M" and e["name"] == f"{what}_name"}


def arrows(events):
    """Return (sender slice, receiver slice, leaves, arrives) of each arrow."""
    ends = defaultdict(dict)
    for event in events:
        if event["ph"] in "sf":
            assert event["ph"] not in ends[event["id"]]
            ends[event["id"]][event["ph"]] = event
    on = lanes(events)
    found = []
    for pair in ends.values():
        assert set(pair) == {"s", "f"}
        start, finish = pair["s"], pair["f"]
        (sender,) = [e for e in on[start["pid"], start["tid"]] if e["ts"] <= start["ts"] < e["ts"] + e["dur"]]
        (receiver,) = [e for e in on[finish["pid"], finish["tid"]] if e["ts"] == finish["ts"]]
        assert finish["bp"] == "e"
        found.append((sender, receiver, start["ts"], finish["ts"]))
    return found


UNEVEN = {"rate": 3.3e6 / 7, "n_bytes": 1e5 / 3, "apply_s": 1 / 300.0, "workers": 5, "iterations": 9}


@pytest.mark.parametrize("sharing", ["fair", "fifo"])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_slices_of_a_lane_never_overlap(sharing, threads):
    events = read(run(server_program(sharing, threads=threads, **UNEVEN)), steps=9)["traceEvents"]

    for lane in lanes(events).values():
        for before, after in itertools.pairwise(lane):
            exact = [round(1000 * number) for number in (before["ts"], before["dur"], after["ts"])]
            cut_off = [int(1000.0 * number) for number in (before["ts"], before["dur"], after["ts"])]
            assert exact[0] + exact[1] <= exact[2]
            assert cut_off[0] + cut_off[1] <= cut_off[2]


def test_a_slice_is_shortened_only_where_a_viewer_that_cuts_off_would_see_an_overlap():
    shortened = 0
    for start in range(0, 200_000, 37):
        end = start + 4_567
        length = timeline_lanes.shortened(start, end, end)
        seen = [int(ns / 1000 * 1000.0) for ns in (start, length, end)]

        assert seen[0] + seen[1] <= seen[2]
        assert end - start - length in (0, 1, 2)
        shortened += length < end - start
    assert 0 < shortened < 5000 / 3


@pytest.mark.parametrize("sharing", ["fair", "fifo"])
def test_times_have_at_most_three_decimals(sharing):
    text = gzip.decompress(timeline.chrome_trace({"ps": run(server_program(sharing, **UNEVEN))})).decode()
    numbers = re.findall(r'"(?:ts|dur)":([^,}\]]+)', text)

    assert len(numbers) > 100
    assert max(len(number.partition(".")[2]) for number in numbers) == 3


@pytest.mark.parametrize("sharing", ["fair", "fifo"])
@pytest.mark.parametrize("threads", [1, 2])
def test_slices_last_as_long_as_in_the_trace(sharing, threads):
    measured = run(server_program(sharing, threads=threads, **UNEVEN))
    trace, program = measured.trace, measured.program
    document = read(measured, steps=99)
    (said,) = document["otherData"]["strategies"]
    inside = (trace.free_s > said["from_s"]) & (trace.start_s < said["to_s"]) & (trace.resource >= 0)

    shown = defaultdict(list)
    for event in slices(document["traceEvents"]):
        shown[event["args"]["resource"]].append(event["dur"])
    for index, resource in enumerate(program.resources):
        mine = inside & (trace.resource == index)
        assert len(shown[resource.name]) == np.count_nonzero(mine)
        seconds = float((trace.free_s - trace.start_s)[mine].sum())
        assert sum(shown[resource.name]) == pytest.approx(seconds * 1e6, abs=3e-3 * np.count_nonzero(mine))


def test_a_message_ends_at_its_last_byte_and_is_delivered_later():
    events = read(run(server_program()))["traceEvents"]
    push = next(e for e in slices(events) if e["name"] == "w0.push.ps0" and e["args"]["iteration"] == 1)

    assert (push["ts"], push["dur"]) == (11.5e6, 4e6)  # 10.5 + 1 s of forward; half the rate
    assert push["args"] == {
        "op": "push",
        "iteration": 1,
        "resource": "w0>ps0",
        "ready_s": 11.5,
        "queued_s": 0.0,
        "bytes": 2,
        "delivered_s": 15.75,
    }
    assert push["cat"] == "push"


def test_waiting_for_a_thread_of_the_server_is_said():
    events = read(run(server_program(threads=1, warmup=0)))["traceEvents"]
    applies = [e for e in slices(events) if e["cat"] == "apply" and e["args"]["iteration"] == 0]

    assert sorted(e["args"]["queued_s"] for e in applies) == [0.0, 1.0]


def test_each_machine_is_a_process_and_each_strategy_a_group_of_them():
    both = {"a": run(server_program()), "b": run(server_program("fifo"))}
    events = read(both)["traceEvents"]

    said = names(events, "process")
    assert [said[pid] for pid in sorted(said)] == [
        *("a", "a \u00b7 w0", "a \u00b7 w1", "a \u00b7 ps0"),
        *("b", "b \u00b7 w0", "b \u00b7 w1", "b \u00b7 ps0"),
    ]
    order = {e["pid"]: e["args"]["sort_index"] for e in events if e["name"] == "process_sort_index"}
    assert sorted(order, key=order.__getitem__) == sorted(said)
    tracks = [*said, *names(events, "thread")]
    assert len(tracks) == len(set(tracks))


def test_lanes_under_fair_and_fifo_sharing():
    for sharing, expected in (
        ("fair", {"steps", "compute", "w0 > ps0", "w1 > ps0", "cpu 1", "cpu 2", "ps0 > w0", "ps0 > w1"}),
        ("fifo", {"steps", "compute", "out", "in", "cpu 1", "cpu 2"}),
    ):
        # Under fifo the second push is 2 s behind the first, so that applies of 3 s need both threads.
        events = read(run(server_program(sharing, apply_s=3.0)))["traceEvents"]
        assert set(names(events, "thread").values()) == expected


@pytest.mark.parametrize("sharing", ["fair", "fifo"])
def test_arrows_lead_from_a_send_to_its_receive(sharing):
    found = arrows(read(run(server_program(sharing)))["traceEvents"])

    assert all(leaves <= arrives for _, _, leaves, arrives in found)
    ways = {(a["name"].partition("@")[0], b["name"].partition("@")[0]) for a, b, _, _ in found}
    expected = set()
    for w in (0, 1):
        expected |= {
            (f"w{w}.push.ps0", f"ps0.apply.w{w}"),
            (f"w{w}.pull.ps0", f"w{w}.forward"),
        }
        if sharing == "fifo":
            expected |= {(f"w{w}.push.ps0",) * 2, (f"w{w}.pull.ps0",) * 2}
    assert ways == expected
    for a, b, _, _ in found:
        later = 1 if b["cat"] == "forward" else 0
        assert b["args"]["iteration"] == a["args"]["iteration"] + later


def test_an_arrow_passes_through_an_update_that_takes_no_time():
    events = read(run(server_program(apply_s=0.0)))["traceEvents"]

    assert {(a["name"], b["name"]) for a, b, _, _ in arrows(events)} == {
        *((f"w{w}.push.ps0", f"w{w}.pull.ps0") for w in (0, 1)),
        *((f"w{w}.pull.ps0", f"w{w}.forward") for w in (0, 1)),
    }
    marks = [e for e in events if e["ph"] == "i"]
    said = names(events, "process")
    assert {(said[e["pid"]], e["name"], e["cat"]) for e in marks} == {("ps \u00b7 ps0", "ps0.apply", "apply")}
    # Updates end at 5.25, 14.75, 24.25 and 33.75 s; the first is of the warm-up.
    assert [e["ts"] for e in marks] == [14.75e6, 24.25e6, 33.75e6]


@pytest.mark.parametrize(("trigger", "update_s"), [({"count": 2}, 0.0), ({"count": 2}, 1.0), ("drain", 1.0)])
def test_arrows_lead_to_the_update_that_took_a_push_in_with_others(scene, measure, trigger, update_s):
    """Or, where updates take no time, on to the pull that it sets off."""
    options = {"server": {"update_rate": 4000.0 / update_s}} if update_s else {}
    found = measure(scene({"ps-async": {"trigger": trigger}}, workers=3, **options))
    ways = {(a["name"], b["name"]) for a, b, *_ in arrows(read(found, steps=20)["traceEvents"])}
    pushes = {f"w{w}.push.ps0" for w in range(3)}
    after = {b for a, b in ways if a in pushes}
    if update_s:
        assert after == {"ps0.apply"}
    else:
        assert after == {f"w{w}.pull.ps0" for w in range(3)}
    assert {a for a, _ in ways} >= pushes


def test_bytes_in_flight_are_counted_from_start_to_delivery():
    events = read(run(server_program()), steps=1)["traceEvents"]
    said = names(events, "process")
    counters = defaultdict(list)
    for e in events:
        if e["ph"] == "C":
            counters[said[e["pid"]], e["name"]].append((e["ts"] / 1e6, e["args"]["bytes"]))

    # The step shown is 6.25 to 16.75 s: pulls 6.25 to 10.5, pushes 11.5 to 15.75, pulls from 16.75.
    assert counters["ps", "bytes in flight"] == [(6.25, 4), (10.5, 0), (11.5, 4), (15.75, 0)]
    assert counters["ps \u00b7 ps0", "bytes in flight to ps0"] == [(11.5, 4), (15.75, 0)]
    assert counters["ps \u00b7 w0", "bytes in flight to w0"] == [(6.25, 2), (10.5, 0)]


def test_the_steps_have_a_lane():
    document = read(run(server_program()), steps=2)
    steps = [e for e in document["traceEvents"] if e["ph"] == "X" and e["cat"] == "step"]

    assert [(e["name"], e["ts"], e["dur"]) for e in steps] == [
        ("step 1", 6.25e6, 10.5e6),
        ("step 2", 16.75e6, 10.5e6),
    ]
    (said,) = document["otherData"]["strategies"]
    assert said["shown"] == "steps 1 to 2 of 3, after 1 of warm-up"
    assert said["steps"] == "iterations 1 to 2"
    assert (said["from_s"], said["to_s"]) == (6.25, 27.25)
    assert said["left_out"] == []


def test_an_asynchronous_step_is_a_gradient_of_each_worker():
    """Two workers, each applying a gradient a second, half a second apart."""
    b = ProgramBuilder("async", 4)
    applies = []
    for w in range(2):
        start = b.gather(f"w{w}.start", [], Op("start", worker=w))
        b.edge(start, start, distance=1)
        forward = b.task(f"w{w}.forward", Op("forward", worker=w), b.resource(f"w{w}", "device"), 1.0)
        b.edge(start, forward, lag=0.5 * w)
        applies.append(b.gather(f"ps0.apply.w{w}", [forward], Op("apply", worker=w, server=0)))
    document = read(run(b.build(meta(2, applies, "async", warmup=1))), steps=9)
    steps = [e for e in document["traceEvents"] if e["ph"] == "X" and e["cat"] == "step"]

    # w0 applies at 1, 2, 3, 4 s and w1 at 1.5, 2.5, ...; measured from 2.5 to 4.
    assert [(e["ts"], e["dur"]) for e in steps] == [(2.5e6, 1e6)]


def test_names_with_quotes_and_unicode_survive():
    name = 'my "quick" \\ \u4e2d\u6587 <b> \U0001f600'
    document = read({name: run(server_program())}, labels={name: name + "!"})

    assert f"{name} \u00b7 w0" in names(document["traceEvents"], "process").values()
    (said,) = document["otherData"]["strategies"]
    assert (said["name"], said["label"]) == (name, name + "!")


@pytest.mark.parametrize("most", [10, 60, 100, 150, 300])
def test_a_file_too_large_is_cut_and_says_so(most):
    document = read(run(server_program("fifo", iterations=30)), steps=20, max_events=most)
    (said,) = document["otherData"]["strategies"]

    assert len(document["traceEvents"]) <= most
    assert said["left_out"] != []


def test_arrows_too_many_are_cut_from_the_end(monkeypatch):
    measured = run(server_program())
    everything = [leaves for _, _, leaves, _ in arrows(read(measured)["traceEvents"])]
    monkeypatch.setattr(timeline, "MOST_ARROWS", 3)
    document = read(measured)

    assert sorted(leaves for _, _, leaves, _ in arrows(document["traceEvents"])) == sorted(everything)[:3]
    assert document["otherData"]["strategies"][0]["left_out"] == [
        f"{len(everything) - 3} of {len(everything)} arrows, the latest"
    ]


def test_no_steps_are_refused():
    with pytest.raises(ValueError, match="steps is 0"):
        timeline.chrome_trace({}, steps=0)


def comparison():
    fits, too_big = run(server_program(**UNEVEN)), Row("big", "ps-sync", "big", 2, False, 2, 2.0, 1.0)
    row = Row("small", "ps-sync", "small, really", 1, True, 2, 1.0, 1.0, measured=fits)
    return Comparison("mine", 7, "reference", [row, too_big], {}, [])


def test_a_comparison_shows_what_fits_and_names_the_rest():
    about = json.loads(gzip.decompress(timeline.comparison(comparison())))["otherData"]

    assert about["scenario"] == "mine"
    assert about["seed"] == 7
    assert about["does_not_fit"] == ["big"]
    assert [strategy["label"] for strategy in about["strategies"]] == ["small, really"]


def test_plain_json_is_the_same_document():
    plain = timeline.comparison(comparison(), compressed=False)

    assert json.loads(plain) == json.loads(gzip.decompress(timeline.comparison(comparison())))


def test_the_gzip_head_has_no_time_and_no_name():
    data = timeline.comparison(comparison())

    assert data[:2] == b"\x1f\x8b"
    assert data[3] == 0  # flags: no name
    assert data[4:8] == b"\0\0\0\0"


def digest():
    """Return a hash of the timeline of one comparison."""
    return hashlib.sha256(timeline.comparison(comparison())).hexdigest()


def test_the_same_bytes_in_any_process():
    check_bytes("import test_timeline; print(test_timeline.digest())")
