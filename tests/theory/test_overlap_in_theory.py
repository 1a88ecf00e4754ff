"""Three layers, forward 1 and backward 1 each, 2 of communication each on one channel.

In a steady iteration: 10 first in first out, 9 by layer priority, 8 with slices of 1 too: the bound, six of
compute and the first layer's last slice there and its forward waiting for nothing else.
"""

import pytest

from simpar.program import Op, ProgramBuilder
from simpar.simulate import simulate

ITERATIONS = 12


def steady(discipline, slices):
    """Return the length of an iteration in the steady state."""
    builder = ProgramBuilder("three layers", ITERATIONS)
    device = builder.resource("w0", "device")
    channel = builder.resource("channel", "link", discipline=discipline)
    before, forwards = [], []
    for layer in range(3):
        forwards.append(builder.task(f"f{layer}", Op("forward", worker=0), device, 1.0, before))
        before = forwards[-1:]
    for layer in (2, 1, 0):
        backward = builder.task(f"b{layer}", Op("backward", worker=0), device, 1.0, before)
        before = [backward]
        for part in range(slices):
            sent = builder.task(
                f"c{layer}.{part}", Op("push", worker=0), channel, 2.0 / slices, [backward], priority=layer
            )
            builder.edge(sent, forwards[layer], distance=1)
    builder.edge(before[0], forwards[0], distance=1)
    trace = simulate(builder.build())
    starts = [trace.start_s[trace.row(forwards[0], m)] for m in range(ITERATIONS)]
    return float(starts[-1] - starts[-2])


def test_first_in_first_out_takes_ten():
    assert steady("fifo", slices=1) == 10.0


def test_slices_alone_change_nothing():
    assert steady("fifo", slices=2) == 10.0


def test_priority_of_layers_takes_nine():
    assert steady("priority", slices=1) == 9.0


def test_priority_and_slices_take_eight():
    assert steady("priority", slices=2) == 8.0


@pytest.mark.parametrize("collectives", ["messages", "closed_form"])
@pytest.mark.parametrize("sharing", ["fair", "fifo"])
def test_a_ring_a_layer_on_one_stream_takes_ten(scene, measure, sharing, collectives):
    """Two workers, n / B = 2 s a ring; buckets so small that every layer is one of its own."""
    scenario = scene(
        {"allreduce": {"overlap": True, "bucket": "1 B"}},
        layers=[(1.0, 1.0, 500, 0.0)] * 3,
        workers=2,
        sharing=sharing,
        run={"collectives": collectives},
    )
    assert measure(scenario).step_s == pytest.approx(10.0, rel=1e-9)


def test_buckets_that_are_larger_wait_for_more_and_send_no_less(scene, measure):
    """Two layers together: after 5 s, 4 s of ring; then the last layer's 2 s: 11 s instead of 10 s."""
    scenario = scene(
        {"allreduce": {"overlap": True, "bucket": "4 kB"}}, layers=[(1.0, 1.0, 500, 0.0)] * 3, workers=2
    )
    assert measure(scenario).step_s == pytest.approx(5.0 + 4.0 + 2.0, rel=1e-9)


def test_without_overlap_everything_adds_up(scene, measure):
    scenario = scene("allreduce", layers=[(1.0, 1.0, 500, 0.0)] * 3, workers=2)
    assert measure(scenario).step_s == pytest.approx(6.0 + 6.0, rel=1e-9)


# Through the options of a parameter server. A push and its pull take equally long on a full-duplex link, so
# the one channel of the example is a server that updates for 2 s a layer, behind a network that is all but
# instant (2 ** -30 s a message, exact in binary, so that what is meant to tie does).


def served(scene, measure, **options):
    """Return the step of one worker with one server whose update is the one channel."""
    scenario = scene(
        {"ps-sync": {"overlap": True, **options}},
        layers=[(1.0, 1.0, 1024, 0.0)] * 3,
        workers=1,
        bandwidth=2.0**42,
        server={"update_rate": 2048.0},
        run={"steps": 4, "warmup": 8},
    )
    return measure(scenario).step_s


def test_a_server_first_in_first_out_takes_ten(scene, measure):
    assert served(scene, measure) == pytest.approx(10.0, rel=1e-8)
    assert served(scene, measure, slice_bytes="2048 B") == pytest.approx(10.0, rel=1e-8)


def test_a_server_by_priority_of_layers_takes_nine(scene, measure):
    assert served(scene, measure, priority=True) == pytest.approx(9.0, rel=1e-8)


def test_a_server_by_priority_and_slices_takes_eight(scene, measure):
    assert served(scene, measure, priority=True, slice_bytes="2048 B") == pytest.approx(8.0, rel=1e-8)


@pytest.mark.parametrize("sharing", ["fair", "fifo"])
@pytest.mark.parametrize(("priority", "step_s"), [(False, 12.0), (True, 11.0)])
def test_links_take_earlier_layers_first(scene, measure, sharing, priority, step_s):
    """Pushes and pulls take 2 s each way. In order: b2 ends at 4, pushes at 6, 8, 10, pulls at 8, 10, 12.

    By priority the last layer's push ends at 7 (its backward at 5, after a forward pass with a gap of 1),
    the first layer's at 9 and its pull at 11; the second's pull at 13 makes the gap.
    """
    scenario = scene(
        {"ps-sync": {"overlap": True, "priority": priority}},
        layers=[(1.0, 1.0, 1000, 0.0)] * 3,
        workers=1,
        bandwidth=2000.0,
        sharing=sharing,
        run={"steps": 4, "warmup": 8},
    )
    assert measure(scenario).step_s == pytest.approx(step_s, rel=1e-9)
