"""S4, updates of replicas: SGD, Downpour, elastic averaging and Langevin noise are cases of one rule."""

import numpy as np
import pytest
from plain_training import Sgd, in_parts, one_device
from replay_lab import LAB, RATE

import simpar
from simpar.errors import InputError
from simpar.execute.replay import replay
from simpar.execute.updates import Update

WORKERS = 3


def trained(kind, rate=RATE, members=None, steps=LAB.STEPS, workers=WORKERS, run=(), **options):
    """Replay one strategy of LAB with plain SGD."""
    scenario = LAB.scenario({kind: options}, workers=workers, steps=steps, run=run)
    trace = LAB.trace(scenario)
    return replay(trace, LAB.model, LAB.parameters, LAB.source, lambda: Sgd(rate), members=members)


def apart(worker):
    """Return parameters that are one worker's own."""
    rng = np.random.default_rng([7, worker])
    return [one + rng.normal(size=one.shape) for one in LAB.parameters]


def elastic_by_hand(kind_of_centre, elastic, steps):
    """Return replicas and centre after *steps* of synchronous elastic averaging, in plain NumPy."""
    own = [[one.copy() for one in LAB.parameters] for _ in range(WORKERS)]
    centre = LAB.parameters
    for step in range(steps):
        slopes = []
        for worker in range(WORKERS):
            first = step * WORKERS * LAB.BATCH + worker * LAB.BATCH
            _, found = LAB.model.gradient(own[worker], *LAB.source(first, LAB.BATCH))
            slopes.append(found)
        centre = [sum(tensors) / WORKERS for tensors in zip(*own, strict=True)]
        if step == steps - 1:
            break  # nobody pulls for a step that does not come
        for worker in range(WORKERS):
            own[worker] = [
                w - elastic * (w - c) - RATE * g / LAB.BATCH
                for w, c, g in zip(own[worker], centre, slopes[worker], strict=True)
            ]
    return own, centre


def test_s4a_without_anything_more_it_is_sgd_to_the_last_bit():
    wanted = in_parts(LAB.model, LAB.parameters, LAB.source, LAB.STEPS, [LAB.BATCH] * WORKERS, RATE)
    for options in ({}, {"update": {}}):
        found = trained("ps-sync", **options)
        for one, other in zip(found.parameters, wanted, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("elastic", [0.1, 0.5, 1.0, 1.9])
@pytest.mark.parametrize("servers", [1, 2])
def test_s4b_the_distance_to_the_centre_shrinks_by_one_less_elastic(elastic, servers):
    """Without gradients w_t - mean = (1 - elastic)^t (w_0 - mean), and the mean stays where it is."""
    found = trained("ps-sync", rate=0.0, members=apart, servers=servers, update={"elastic": elastic})
    begun = [apart(worker) for worker in range(WORKERS)]
    turns = LAB.STEPS - 1  # nobody pulls for a step that does not come
    for tensor in range(len(LAB.parameters)):
        mean = sum(one[tensor] for one in begun) / WORKERS
        ended = [found.replicas[worker][tensor] for worker in range(WORKERS)]
        np.testing.assert_allclose(sum(ended) / WORKERS, mean, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(found.parameters[tensor], mean, rtol=1e-12, atol=1e-14)
        for worker in range(WORKERS):
            wanted = (1 - elastic) ** turns * (begun[worker][tensor] - mean)
            np.testing.assert_allclose(ended[worker] - mean, wanted, rtol=1e-9, atol=1e-12)


def test_s4b_from_two_on_it_is_not_stable_and_refused():
    with pytest.raises(InputError, match=r"2\.1 is more than 2"):
        LAB.scenario({"ps-sync": {"update": {"elastic": 2.1}}})


@pytest.mark.parametrize("servers", [1, 3])
def test_s4b_elastic_averaging_is_what_it_says(servers):
    """Replicas and centre are those of plain NumPy: dw = -elastic (w - centre) - lr mu."""
    found = trained("ps-sync", servers=servers, update={"elastic": 0.3})
    own, centre = elastic_by_hand("mean", 0.3, LAB.STEPS)
    for one, other in zip(found.parameters, centre, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)
    for worker in range(WORKERS):
        for one, other in zip(found.replicas[worker], own[worker], strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


def test_s4b_asynchronous_replicas_move_the_centre_as_they_come():
    """EASGD, Algorithm 1: both sides change by elastic (x - centre), as both were before."""
    elastic = 0.4
    found = trained("ps-async", update={"elastic": elastic})
    centre = [one.copy() for one in LAB.parameters]
    own = [[one.copy() for one in LAB.parameters] for _ in range(WORKERS)]
    for applied in found.gradients:
        worker, step = applied.worker, applied.iteration
        first = step * WORKERS * LAB.BATCH + worker * LAB.BATCH
        _, slopes = LAB.model.gradient(own[worker], *LAB.source(first, LAB.BATCH))
        off = [elastic * (w - c) for w, c in zip(own[worker], centre, strict=True)]
        own[worker] = [w - RATE * g / LAB.BATCH - d for w, g, d in zip(own[worker], slopes, off, strict=True)]
        centre = [c + d for c, d in zip(centre, off, strict=True)]
    for one, other in zip(found.parameters, centre, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("turns", [2, 4])
def test_s4c_batches_that_are_added_up_are_one_step_on_their_mean(turns):
    found = trained("ps-sync", push_every=turns)
    wanted, _ = one_device(
        LAB.model, LAB.parameters, LAB.source, LAB.STEPS, turns * WORKERS * LAB.BATCH, RATE
    )
    for one, other in zip(found.parameters, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


def test_s4d_noise_has_its_variance_and_is_the_same_for_the_same_seed():
    """Of n draws the variance of the sample variance is 2 std^4 / (n - 1)."""
    n, std = 100_000, 0.3
    draws = Update(noise_std=std, seed=5).noise(n, "f8", 0, 0, 0, 0)
    assert abs(draws.var(ddof=1) - std**2) < 3 * std**2 * np.sqrt(2 / (n - 1))
    assert abs(draws.mean()) < 3 * std / np.sqrt(n)
    np.testing.assert_array_equal(draws, Update(noise_std=std, seed=5).noise(n, "f8", 0, 0, 0, 0))
    assert (draws != Update(noise_std=std, seed=6).noise(n, "f8", 0, 0, 0, 0)).any()
    assert (draws != Update(noise_std=std, seed=5).noise(n, "f8", 0, 1, 0, 0)).any()


@pytest.mark.parametrize("kind", ["ps-sync", "ps-async"])
def test_s4d_a_run_with_noise_repeats_and_is_off_by_the_noise_of_its_updates(kind):
    """Without gradients parameters walk at random: so many updates have as many variances (SGLD)."""
    std = 0.2
    found = trained(kind, rate=0.0, update={"noise_std": std})
    again = trained(kind, rate=0.0, update={"noise_std": std})
    other = trained(kind, rate=0.0, update={"noise_std": std}, run={"seed": 1})
    moved = []
    for one, twin, before in zip(found.parameters, again.parameters, LAB.parameters, strict=True):
        np.testing.assert_array_equal(one, twin)
        moved.append((one - before).reshape(-1))
    walk = np.concatenate(moved)
    assert any((one != two).any() for one, two in zip(found.parameters, other.parameters, strict=True))
    updates = LAB.STEPS * (1 if kind == "ps-sync" else WORKERS)
    wanted = updates * std**2
    assert abs(walk.var() - wanted) < 4 * wanted * np.sqrt(2 / len(walk))


def test_s4e_replicas_together_hold_k_times_the_parameters():
    n_bytes = 8 * sum(one.size for one in LAB.parameters)
    for kind in ("replicated", "allreduce"):
        for workers in (1, 2, 5):
            row = simpar.compare(LAB.scenario(kind, workers=workers, run={"warmup": 0}))[kind]
            assert workers * row.memory["parameters_bytes"] == workers * n_bytes


def test_s4_a_chain_of_workers_is_one_device_step_after_step():
    """Each worker starts from what the one before has left: W steps of one worker's batch."""
    found = trained("ps-sync", servers=2, update={"chain": True})
    wanted, _ = one_device(LAB.model, LAB.parameters, LAB.source, WORKERS * LAB.STEPS, LAB.BATCH, RATE)
    for one, other in zip(found.parameters, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


def test_s4_a_chain_takes_the_sum_of_its_workers():
    """W (Z + 2 (alpha + n / B)): 3 (3 + 2 (0.5 + 4000 / 1000)) seconds."""
    file = {
        "name": "chain",
        "model": {"layers": [{"name": "a", "parameters": 1000, "flops": "1 FLOP"}], "batch": 1},
        "cluster": {"workers": 3, "device": {"forward": "1 s", "backward": "2 s"}},
        "network": {"bandwidth": "1000 B/s", "latency": "0.5 s"},
        "strategies": [{"ps-sync": {"update": {"chain": True}}}],
        "run": {"steps": 3},
    }
    assert simpar.compare(file)["ps-sync"].step_s == pytest.approx(3 * (3 + 2 * (0.5 + 4)))


def test_s4_momentum_of_the_update_is_polyaks():
    found = trained("ps-sync", update={"momentum": 0.7})
    values = [one.copy() for one in LAB.parameters]
    speed = [np.zeros_like(one) for one in values]
    whole = WORKERS * LAB.BATCH
    for step in range(LAB.STEPS):
        _, slopes = LAB.model.gradient(values, *LAB.source(step * whole, whole))
        speed = [0.7 * v + g / whole for v, g in zip(speed, slopes, strict=True)]
        values = [w - RATE * v for w, v in zip(values, speed, strict=True)]
    for one, other in zip(found.parameters, values, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("strategy", "said"),
    [
        ({"ps-async": {"update": {"chain": True}}}, "workers of ps-async wait for nobody"),
        ({"ps-sync": {"update": {"chain": True}, "overlap": True}}, "workers go one after another"),
        ({"ps-sync": {"update": {"elastic": 0.5}, "window": 2}}, "with update.elastic"),
        ({"ps-sync": {"update": {"elastic": 0.5}, "backup_workers": 1}}, "the centre is the mean of all"),
        ({"ps-sync": {"update": {"elastic": 0.5, "chain": True}}}, "no centre to be drawn to"),
        ({"ps-sync": {"update": {"noise_std": -1}}}, "-1 is not above 0"),
        ({"ps-sync": {"update": {"elastik": 1}}}, "did you mean 'elastic'?"),
    ],
)
def test_s4_updates_that_exclude_each_other_are_said(strategy, said):
    with pytest.raises(InputError) as caught:
        LAB.scenario(strategy)
    assert said in str(caught.value)
