"""One message, and equal messages over one link: alpha + n / B, alpha + f n / B."""

import pytest

from simpar.program import Op, ProgramBuilder
from simpar.simulate import simulate

ALPHA, B = 5e-6, 3.125e9


def incast(sharing, senders, n_bytes):
    builder = ProgramBuilder("incast", 1, sharing)
    arrived = []
    for w in range(senders):
        links = [(f"w{w}.out", B), ("ps.in", B)]
        _, last = builder.message(f"m{w}", Op("push", worker=w), f"w{w}", "ps", links, n_bytes, latency=ALPHA)
        arrived.append(builder.gather(f"there{w}", [last]))
    trace = simulate(builder.build())
    return [float(trace.end_s[task]) for task in arrived]


@pytest.mark.parametrize("sharing", ["fair", "fifo"])
@pytest.mark.parametrize("n_bytes", [1.0, 1e3, 1e6, 102_228_128.0])
def test_an_idle_message_takes_latency_and_its_bytes(sharing, n_bytes):
    assert incast(sharing, 1, n_bytes) == pytest.approx([ALPHA + n_bytes / B], rel=1e-12)


@pytest.mark.parametrize("flows", [2, 3, 8, 100])
def test_flows_that_share_a_link_all_end_with_the_last(flows):
    assert incast("fair", flows, 1e6) == pytest.approx([ALPHA + flows * 1e6 / B] * flows, rel=1e-11)


@pytest.mark.parametrize("flows", [2, 3, 8, 100])
def test_messages_served_one_by_one_end_one_service_apart(flows):
    wanted = [ALPHA + (k + 1) * 1e6 / B for k in range(flows)]
    assert incast("fifo", flows, 1e6) == pytest.approx(wanted, rel=1e-11)


@pytest.mark.parametrize("sharing", ["fair", "fifo"])
def test_a_message_through_a_strategy_takes_the_same(scene, measure, sharing):
    """One worker and one server: compute, a message there, a message back."""
    scenario = scene({"ps-sync": {}}, workers=1, bandwidth=1e6, latency=0.25, sharing=sharing)
    assert measure(scenario).step_s == pytest.approx(3.0 + 2 * (0.25 + 4000 / 1e6), rel=1e-12)
