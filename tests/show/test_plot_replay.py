"""The figure of a replay: the right curves at the right places, and no text on another."""

import pytest
from drawn import LONG, check_bytes, check_text
from learned import learning, row

from simpar.show import plot_replay
from simpar.show.sheet import own_settings

NO_CLASSES = (None, None, None)


def lines(result):
    """Return the (x, y) of every curve, by row of the figure and by column: time, then steps."""
    with own_settings():
        axes = plot_replay._figure(result).axes
    found = [[tuple(map(list, line.get_data())) for line in one.lines] for one in axes]
    return [found[n : n + 2] for n in range(0, len(found), 2)]


def test_accuracy_and_loss_stand_against_time_and_against_steps():
    accuracy, loss = lines(learning(row(), row("allreduce", end_s=0.5)))
    assert accuracy[0] == [([0, 1, 2], [0.1, 0.6, 0.95]), ([0, 0.25, 0.5], [0.1, 0.6, 0.95])]
    assert accuracy[1] == [([0, 5, 10], [0.1, 0.6, 0.95])] * 2
    assert loss[0] == [([0, 1, 2], [2.3, 1.0, 0.2]), ([0, 0.25, 0.5], [2.3, 1.0, 0.2])]
    assert loss[1] == [([0, 5, 10], [2.3, 1.0, 0.2])] * 2


def test_what_classifies_nothing_has_a_loss_only():
    (loss,) = lines(learning(row(rates=NO_CLASSES)))
    assert loss[1] == [([0, 5, 10], [2.3, 1.0, 0.2])]


def test_times_that_differ_much_are_logarithmic_and_begin_after_the_beginning():
    accuracy, _ = lines(learning(row(), row("allreduce", end_s=0.05)))
    assert accuracy[0][0] == ([1, 2], [0.6, 0.95])
    assert accuracy[1][0] == ([0, 5, 10], [0.1, 0.6, 0.95])


MANY = learning(*(row(f"ps-sync-2{n}", end_s=0.2 + n / 5, label=f"{LONG} {n}") for n in range(12)))


@pytest.mark.parametrize(
    "result",
    [
        learning(row()),
        learning(row(), row("allreduce", end_s=3e-5)),
        learning(row(losses=(2.3, 40.0, 1e5)), row("allreduce", losses=(2.3, 1e-7, 1e-9))),
        learning(row(rates=NO_CLASSES), row("single", rates=NO_CLASSES, end_s=4000.0)),
        learning(row(losses=(0.0, 0.0, 0.0))),
        learning(row(label="same"), row("single", label="same"), model="a model " * 20, epochs=100_000),
        MANY,
    ],
)
def test_no_text_is_cut_or_lies_on_another(result):
    check_text(lambda: plot_replay._figure(result))


@pytest.mark.parametrize(("format", "begins"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_formats(format, begins):
    assert plot_replay.learning(learning(row()), format).startswith(begins)


def test_an_unknown_format_is_refused():
    with pytest.raises(ValueError, match="format is 'gif'"):
        plot_replay.learning(learning(row()), "gif")


def test_the_same_bytes_in_any_process():
    check_bytes(
        "from learned import learning, row\n"
        "from simpar.show.plot_replay import learning as draw\n"
        "result = learning(row(), row('allreduce', end_s=0.5))\n"
        "print(*(hashlib.sha256(draw(result, one)).hexdigest() for one in ('svg', 'png', 'pdf')))\n"
    )
