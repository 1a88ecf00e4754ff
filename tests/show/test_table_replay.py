"""The table of a replay: what was learned, by whom first."""

from learned import learning, row

from simpar.show.table_replay import learning as table


def test_a_row_says_updates_staleness_time_loss_accuracy_and_when_it_got_there():
    result = learning(row(), row("ps-async", end_s=0.4, rates=(0.1, 0.95, 0.9), stale=3.0))
    lines = table(result, 0.95).splitlines()
    assert lines[0].startswith(
        "MLP (64-64-10) on digits (640 to train on, 397 to test), batch 32 on each of 4 workers, sgd at 0.2, "
        "2 epochs"
    )
    assert lines[0].endswith("seed 0")
    assert " ".join(lines[2].split()) == "strategy updates staleness time loss accuracy 95.0 % after"
    assert " ".join(lines[3].split()) == "ps-sync 10 - 2 000.0 ms 0.2 95.0 % 2 000.0 ms"
    assert " ".join(lines[4].split()) == "ps-async 10 3.0 updates 400.0 ms 0.2 90.0 % 200.0 ms"
    assert lines[6:] == [
        "Most accurate: ps-sync, 95.0 %.",
        "First to 95.0 %: ps-async, after 200.0 ms.",
    ]


def test_who_does_not_get_there_is_named():
    result = learning(row(), row("allreduce", rates=(0.1, 0.2, 0.3)))
    assert table(result, 0.95).splitlines()[-1] == "Not to 95.0 %: allreduce."
    assert table(result, 0.99).splitlines()[-1] == "None gets to 99.0 %."


def test_what_classifies_nothing_has_a_loss_only():
    result = learning(
        row(rates=(None, None, None)), row("single", rates=(None, None, None), losses=(3, 2, 1))
    )
    lines = table(result, 0.95).splitlines()
    assert "accuracy" not in lines[2]
    assert lines[-1] == "Least loss: ps-sync, 0.2."


def test_names_stand_beside_labels_where_a_kind_is_there_twice():
    result = learning(row(label="four servers"), row("ps-sync-2", label="one server"))
    assert [line.split()[:3] for line in table(result, 0.5).splitlines()[3:5]] == [
        ["four", "servers", "ps-sync"],
        ["one", "server", "ps-sync-2"],
    ]
