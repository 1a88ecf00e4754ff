"""Made-up replays, for tests of what is shown of them."""

from simpar.execute.replay import Point
from simpar.study.replay import Learned, Learning, Staleness


def row(name="ps-sync", *, end_s=2.0, losses=(2.3, 1.0, 0.2), rates=(0.1, 0.6, 0.95), label="", stale=None):
    """Return a strategy that was tested at equal distances until *end_s*, by 128 samples a step."""
    last = len(losses) - 1
    points = tuple(
        Point(end_s * n / last, 128.0 * 10 * n / last, loss, rate, None if n == 0 else loss + 0.1)
        for n, (loss, rate) in enumerate(zip(losses, rates, strict=True))
    )
    return Learned(
        name=name,
        kind=name.partition("-2")[0],
        label=label or name,
        workers=4,
        points=points,
        updates=10,
        samples=1280.0,
        time_s=end_s,
        staleness=None if stale is None else Staleness(stale, 7),
    )


def learning(*rows, **facts):
    """Return what the strategies learned."""
    return Learning(
        scenario="made up",
        seed=0,
        rows=list(rows),
        facts={
            "model": "MLP (64-64-10)",
            "data": "digits",
            "records": 640,
            "test_records": 397,
            "epochs": 2,
            "batch": 32,
            "workers": 4,
            "global_batch": 128,
            "optimizer": "sgd",
            "learning_rate": 0.2,
            "parameters": 4810,
        }
        | facts,
    )
