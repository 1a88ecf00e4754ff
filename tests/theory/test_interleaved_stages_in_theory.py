"""Interleaved stages: with v chunks a device the bubble is v times smaller, written as a program by hand.

Formula: (m + (p - 1) / v) (t_f + t_b) for p devices, m microbatches (a multiple of p) and free links.
Source: Narayanan et al., Efficient Large-Scale Language Model Training on GPU Clusters, SC 2021, section 2.2.
"""

import pytest

import simpar
from simpar.errors import InputError
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


def compared(devices, micro, layers=None, **options):
    """Compare a pipeline of equal layers, two seconds back for each ahead, over free links."""
    count = layers or devices * options.get("chunks", 1)
    file = {
        "name": "chunks",
        "model": {
            "layers": [{"name": f"l{n}", "parameters": 10, "flops": "1 FLOP"} for n in range(count)],
            "batch": micro,
        },
        "cluster": {
            "workers": devices,
            "device": {"forward": f"{micro} s", "backward": f"{2 * micro} s"},
        },
        "network": {"bandwidth": "1 Pbit/s", "latency": "0 s"},
        "strategies": [{"pipeline": {"microbatches": micro} | options}],
        "run": {"steps": 3},
    }
    return simpar.load(file)


@pytest.mark.parametrize("chunks", [2, 4])
@pytest.mark.parametrize(("devices", "micro"), [(2, 4), (4, 4), (4, 12), (3, 9)])
def test_the_strategy_has_that_step(devices, micro, chunks):
    """All samples of a minibatch take devices x micro x 3 seconds: a microbatch 3 on each device."""
    scenario = compared(devices, micro, schedule="interleaved", chunks=chunks)
    found = simpar.compare(scenario)["pipeline"]
    assert found.step_s == pytest.approx((micro + (devices - 1) / chunks) * 3.0, rel=1e-9)
    bubble = (devices - 1) / (chunks * micro)
    assert found.step_s / (3.0 * micro) - 1 == pytest.approx(bubble, rel=1e-9)


def test_a_message_for_every_part_of_the_model_but_one_each_way():
    """4 devices, 3 chunks, 8 microbatches: 11 cuts, crossed there and back by each."""
    program = simpar.compile(compared(4, 8, schedule="interleaved", chunks=3), "pipeline")
    kinds = [op.kind for op in program.ops]
    assert kinds.count("activation") == kinds.count("gradient") == 11 * 8
    held = {op.worker: set() for op in program.ops if op.kind == "forward"}
    for op in program.ops:
        if op.kind == "forward":
            held[op.worker].add(op.layers)
    assert held[1] == {(1, 2), (5, 6), (9, 10)}


@pytest.mark.parametrize(
    ("devices", "micro", "options", "said"),
    [
        (4, 6, {"schedule": "interleaved", "layers": 8}, "6 microbatches .* groups of 4.*write 4 or 8"),
        (4, 8, {"schedule": "interleaved", "chunks": 3, "layers": 8}, "8 layers; write chunks: 2 or fewer"),
        (4, 8, {"schedule": "interleaved", "layers": 6}, "2 chunks of 4 stages.*write stages: 3 or fewer"),
        (4, 8, {"schedule": "gpipe", "chunks": 2}, "a stage of gpipe holds one part"),
        (1, 8, {"schedule": "interleaved", "layers": 4}, "one stage has nobody to take turns with"),
    ],
)
def test_what_cannot_be_interleaved_is_refused(devices, micro, options, said):
    with pytest.raises(InputError, match=said):
        simpar.compile(compared(devices, micro, options.pop("layers", None), **options), "pipeline")
