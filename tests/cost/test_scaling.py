import pytest

from simpar.cost import scaling


def test_amdahl_is_bounded_by_one_over_the_serial_share():
    assert scaling.amdahl(0.0, 16) == 16.0
    assert scaling.amdahl(1.0, 16) == 1.0
    assert scaling.amdahl(0.5, 2) == pytest.approx(4 / 3)
    assert scaling.amdahl(0.1, 10**9) == pytest.approx(10.0, rel=1e-7)


def test_gustafson_grows_without_bound():
    assert scaling.gustafson(0.5, 9) == 5.0
    assert scaling.gustafson(0.0, 16) == 16.0


def test_one_worker_has_no_speedup():
    assert scaling.amdahl(0.3, 1) == pytest.approx(1.0)
    assert scaling.gustafson(0.3, 1) == pytest.approx(1.0)


def test_weak_scaling_loses_what_it_communicates():
    assert scaling.weak_scaling_efficiency(3.0, 1.0) == 0.75
    assert scaling.weak_scaling_efficiency(3.0, 0.0) == 1.0


def test_strong_scaling_divides_only_the_compute():
    assert scaling.strong_scaling_step(8.0, 4, 1.0) == 3.0


def test_seven_records_on_four_devices_speed_up_by_three_and_a_half():
    assert scaling.shard_speedup_bound(7, 4) == 3.5
    assert scaling.shard_speedup_bound(8, 4) == 4.0
    assert scaling.shard_speedup_bound(3, 8) == 3.0


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: scaling.amdahl(1.5, 1), "serial"),
        (lambda: scaling.amdahl(float("nan"), 1), "serial"),
        (lambda: scaling.gustafson(0.5, 0), "workers"),
        (lambda: scaling.weak_scaling_efficiency(0.0, 1.0), "compute_s"),
        (lambda: scaling.strong_scaling_step(1.0, 0, 1.0), "workers"),
        (lambda: scaling.shard_speedup_bound(0, 1), "records"),
        (lambda: scaling.shard_speedup_bound(1, 0), "devices"),
    ],
)
def test_numbers_that_mean_nothing_are_refused_by_name(call, named):
    with pytest.raises(ValueError, match=named):
        call()
