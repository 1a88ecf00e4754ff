"""The figures of scenarios/quickstart.yaml from closed forms, written out."""

from pathlib import Path

import pytest

import simpar

W, S = 8, 2
Z = 0.060 + 0.120
N = 102_228_128  # bytes of gradients
B = 25e9 / 8
ALPHA = 5e-6


def ring(n_bytes):
    return 2 * (W - 1) * (ALPHA + n_bytes / (W * B))


@pytest.fixture(scope="module")
def path():
    return Path(__file__).parents[2] / "scenarios" / "quickstart.yaml"


@pytest.fixture(scope="module")
def rows(path):
    return simpar.compare(path, advise=False)


def resnet_50():
    """Return the elements of torchvision's ResNet-50 tensors, in the order of ``named_parameters()``."""

    def norm(channels):
        return [channels, channels]

    tensors = [64 * 3 * 7 * 7, *norm(64)]
    inside = 64
    for stage, blocks in enumerate((3, 4, 6, 3)):
        width = 64 * 2**stage
        for block in range(blocks):
            tensors += [width * inside, *norm(width)]
            tensors += [width * width * 9, *norm(width)]
            tensors += [4 * width * width, *norm(4 * width)]
            if block == 0:
                tensors += [4 * width * inside, *norm(4 * width)]
            inside = 4 * width
    return [*tensors, 2048 * 1000, 1000]


def last_bucket(size):
    """Return the bytes of the last bucket: whole tensors from the end, closed when *size* is reached."""
    waiting = 0
    for elements in reversed(resnet_50()):
        if waiting >= size:
            waiting = 0
        waiting += 4 * elements
    return waiting


def test_the_model_is_torchvisions():
    assert len(resnet_50()) == 161
    assert 4 * sum(resnet_50()) == N


def test_a_ring_step_takes_237_ms(rows):
    assert rows["allreduce"].step_s == pytest.approx(Z + ring(N), rel=1e-6)
    assert rows["allreduce"].step_s == pytest.approx(0.2373, abs=5e-5)


def test_a_step_with_two_servers_takes_442_ms(rows):
    wanted = Z + 2 * (ALPHA + max(N / B, W * N / (S * B)))
    assert rows["ps-sync"].step_s == pytest.approx(wanted, rel=1e-6)
    assert rows["ps-sync"].step_s == pytest.approx(0.4417, abs=5e-5)


def test_an_overlapped_ring_shows_its_last_bucket_only(rows):
    """The buckets before it are done by the time the backward pass ends."""
    wanted = Z + ring(last_bucket(25 * 2**20))
    assert rows["allreduce-2"].step_s == pytest.approx(wanted, rel=1e-6)
    assert last_bucket(25 * 2**20) < 25 * 2**20


def test_asynchronous_workers_that_take_turns_find_the_servers_free(rows):
    """As if each were alone: compute, everything there, everything back."""
    assert rows["ps-async"].step_s == pytest.approx(Z + 2 * (ALPHA + N / B), rel=0.01)
    assert rows["ps-async"].step_s == pytest.approx(0.2454, abs=5e-5)
    assert rows["ps-async"].staleness.mean == W - 1


def test_rows_are_ranked_by_samples_a_second(rows):
    assert list(rows) == ["allreduce-2", "allreduce", "ps-async", "ps-sync"]
    for row in rows.values():
        assert row.samples_per_s == pytest.approx(W * 64 / row.step_s, rel=1e-12)
        assert row.speedup == pytest.approx(W * Z / row.step_s, rel=1e-9)


def test_asynchronous_workers_that_start_together_gain_nothing(path):
    """Nothing is random here, so nothing ever sets them apart, and the result says so."""
    rows = simpar.compare(path, set={"run.stagger": "none"}, advise=False)
    assert rows["ps-async"].step_s == pytest.approx(rows["ps-sync"].step_s, rel=1e-9)
    assert any("lockstep" in note for note in rows["ps-async"].notes)
