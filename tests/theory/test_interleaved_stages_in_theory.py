"""Interleaved stages: with v chunks a device the bubble is v times smaller, written as a program by hand.

Formula: (m + (p - 1) / v) (t_f + t_b) for p devices, m microbatches (a multiple of p) and free links.
Source: Narayanan et al., Efficient Large-Scale Language Model Training on GPU Clusters, SC 2021, section 2.2.
"""

import pytest

from simpar.program import Op, ProgramBuilder
from simpar.simulate import simulate


def order(device, devices, chunks, micro):
    """Return the (forward or backward, chunk, microbatch) of a device: ahead, then one of each in turn."""
    total = micro * chunks

    def place(number, backward):
        chunk = number // devices % chunks
        return chunks - 1 - chunk if backward else chunk, (
            number // (devices * chunks) * devices + number % devices
        )

    forwards = [("f", *place(number, False)) for number in range(total)]
    backwards = [("b", *place(number, True)) for number in range(total)]
    ahead = min(total, 2 * (devices - device - 1) + (chunks - 1) * devices)
    found = forwards[:ahead]
    for number in range(total - ahead):
        found += [forwards[ahead + number], backwards[number]]
    return found + backwards[total - ahead :]


def makespan(devices, chunks, micro, forward_s, backward_s):
    """Return the seconds of one minibatch through the devices."""
    builder = ProgramBuilder("interleaved", 1)
    last = devices * chunks - 1
    queues = [order(device, devices, chunks, micro) for device in range(devices)]
    laid, before = {}, [None] * devices
    while any(queues):
        progress = False
        for device, queue in enumerate(queues):
            while queue:
                what, chunk, part = queue[0]
                stage = chunk * devices + device
                needs = [(what, stage + (-1 if what == "f" else 1), part)]
                if (what, stage) in (("f", 0), ("b", last)):
                    needs = [] if what == "f" else [("f", last, part)]
                if any(need not in laid for need in needs):
                    break
                after = [laid[need] for need in needs] + (
                    [before[device]] if before[device] is not None else []
                )
                laid[what, stage, part] = before[device] = builder.task(
                    f"w{device}.{what}.{chunk}.{part}",
                    Op("forward" if what == "f" else "backward", worker=device),
                    builder.resource(f"w{device}", "device"),
                    (forward_s if what == "f" else backward_s) / chunks,
                    after,
                )
                queue.pop(0)
                progress = True
        assert progress, "the devices wait for each other"
    return float(simulate(builder.build()).end_s.max())


@pytest.mark.parametrize("chunks", [1, 2, 4])
@pytest.mark.parametrize(("devices", "micro"), [(2, 4), (4, 4), (4, 12), (3, 9)])
def test_the_bubble_shrinks_with_the_chunks_of_a_device(devices, micro, chunks):
    found = makespan(devices, chunks, micro, 1.0, 2.0)
    assert found == pytest.approx((micro + (devices - 1) / chunks) * 3.0, rel=1e-12)
