"""What a program says for those who run it: slices, parts, buckets, and where messages begin."""

import pytest

import simpar
from simpar.program import Op

SIZES = [7, 9, 8, 5]
ELEMENTS = [63, 9, 72, 8, 40, 5]
"""Weight and bias of each layer."""


def compiled(kind, options=None, workers=4, devices=1):
    scenario = simpar.load(
        {
            "name": "ops",
            "model": {"preset": "mlp", "shape": {"sizes": SIZES}, "batch": 3, "dtype": "float64"},
            "cluster": {"workers": workers, "devices_per_node": devices, "device": {"flops": "1 GFLOP/s"}},
            "network": {
                "bandwidth": "1 MB/s",
                "latency": "10 us",
                "intra": {"bandwidth": "10 MB/s", "latency": "1 us"},
            },
            "strategies": [{kind: options or {}}],
        }
    )
    return simpar.compile(scenario, kind)


@pytest.mark.parametrize(
    "options", [{}, {"servers": 3}, {"servers": 3, "overlap": True, "slice_bytes": "64 B"}]
)
def test_slices_cover_every_element_once_and_are_what_is_pushed(options):
    program = compiled("ps-sync", options)
    slices = program.meta["slices"]
    rows = list(zip(*(slices[name] for name in ("tensor", "server", "start", "elements")), strict=True))
    held = [(tensor, start + n) for tensor, _, start, elements in rows for n in range(elements)]
    assert sorted(held) == [(tensor, n) for tensor, count in enumerate(ELEMENTS) for n in range(count)]
    for task, op in enumerate(program.ops):
        if op.kind in ("push", "pull"):
            of_key = [r for n, r in enumerate(rows) if r[1] == op.server and op.key in (-1, n)]
            assert program.bytes[task] == 8 * sum(elements for *_, elements in of_key)


@pytest.mark.parametrize(("kind", "parts"), [("single", [3, 3, 3, 3]), ("pipeline", [3, 3, 2, 2, 2])])
def test_parts_of_an_iteration_are_all_its_samples(kind, parts):
    options = {"stages": 2, "microbatches": 5} if kind == "pipeline" else {}
    meta = compiled(kind, options).meta
    assert meta["parts"] == parts
    assert sum(parts) == meta["global_batch"] == 4 * meta["batch"] == 12


@pytest.mark.parametrize("bucket", ["1 B", "300 B", "1 MB"])
def test_buckets_are_whole_tensors_from_the_last_to_the_first(bucket):
    meta = compiled("allreduce", {"overlap": True, "bucket": bucket}).meta
    assert [tensor for inside in meta["buckets"] for tensor in inside] == [5, 4, 3, 2, 1, 0]
    sizes = [8 * sum(ELEMENTS[tensor] for tensor in inside) for inside in meta["buckets"]]
    assert sizes == meta["bucket_bytes"]


@pytest.mark.parametrize(
    "algorithm", ["tree", "recursive-doubling", "halving-doubling", "direct", "hierarchical"]
)
@pytest.mark.parametrize("workers", [4, 6])
def test_messages_of_a_collective_stay_inside_their_bucket(algorithm, workers):
    options = {"algorithm": algorithm, "overlap": True, "bucket": "300 B"}
    program = compiled("allreduce", options, workers, 2)
    kinds = ("reduce_scatter", "all_gather", "reduce", "broadcast", "exchange")
    sent = [task for task, op in enumerate(program.ops) if op.kind in kinds]
    begins = program.meta["begins"]
    assert len(begins) == len(sent)
    for begin, task in zip(begins, sent, strict=True):
        assert begin >= 0
        assert 8 * begin + program.bytes[task] <= program.meta["bucket_bytes"][program.ops[task].part]


def test_nobody_ends_a_hierarchical_all_reduce_without_having_got_every_chunk():
    """Chunks of one sender arrive in the order of their steps, so that the last is the last."""
    program = compiled("allreduce", {"algorithm": "hierarchical", "overlap": True, "bucket": "300 B"}, 6, 3)
    trace = simpar.simulate(program)
    for task, op in enumerate(program.ops):
        if op.kind != "all_gather":
            continue
        update = program.ops.index(Op("update", worker=op.peer))
        for iteration in range(program.iterations):
            arrived = trace.end_s[trace.row(task, iteration)]
            assert arrived <= trace.end_s[trace.row(update, iteration)]
