"""What a reader is told of servers that wait for some pushes only: labels, notes, options without effect."""
# ruff: noqa: E501 (tables of labels)

import pytest

import simpar


@pytest.fixture
def row(scene):
    """Return a function from one strategy, and a scene around it, to its row and the notes of all."""

    def compare(kind, options, **around):
        around = {"workers": 4, "bandwidth": 1e6} | around
        found = simpar.compare(scene({kind: options}, **around), advise=False)
        return found[kind], found.notes

    return compare


@pytest.mark.parametrize(
    ("kind", "options", "label"),
    [
        ("ps-sync", {"backup_workers": 2}, "ps-sync, backup 2, 1 server"),
        ("ps-async", {"softsync": 2}, "ps-async, softsync 2, 1 server"),
        ("ps-async", {"trigger": {"count": 4}}, "ps-async, count 4, 1 server"),
        ("ps-async", {"trigger": "drain"}, "ps-async, drain, 1 server"),
        ("ps-async", {"trigger": {"timeout": "5 ms"}}, "ps-async, timeout 5 ms or count 4, 1 server"),
        ("ps-async", {"trigger": {"timeout": "5 ms", "count": 2}}, "ps-async, timeout 5 ms or count 2, 1 server"),
        ("ps-ssp", {"overlap": True, "priority": True}, "ps-ssp, staleness 3, 1 server, overlapped, priority"),
    ],
)  # fmt: skip
def test_labels_say_which_pushes_a_server_waits_for(row, kind, options, label):
    found, notes = row(kind, options, server={"update_rate": 1e5})
    assert found.label == label
    assert not any("had no effect" in note for note in notes)


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        ("ps-sync", {"backup_workers": 0}, "backup_workers had no effect: none is the default"),
        ("ps-sync", {"late": "finish"}, "late had no effect: nobody is late without backup_workers"),
        ("ps-sync", {"priority": True}, "priority had no effect: without overlap all layers go together"),
        ("ps-async", {"trigger": {"count": 1}}, "trigger had no effect: one push an update is the default"),
        ("ps-async", {"softsync": 3}, "softsync had no effect: one push an update is the default"),
        ("ps-async", {"trigger": "drain"}, "trigger had no effect: servers take no time without update_rate"),
    ],
)
def test_an_option_without_effect_is_said(row, kind, options, said):
    _, notes = row(kind, options)
    assert f"strategies[{kind}].{said}" in notes


def test_an_option_without_effect_changes_nothing(scene):
    plain = simpar.compile(scene("ps-async", workers=4), "ps-async")
    for options in ({"trigger": {"count": 1}}, {"softsync": 4}, {"trigger": "drain"}, {"priority": True}):
        assert simpar.compile(scene({"ps-async": options}, workers=4), "ps-async").digest() == plain.digest()


def test_gradients_that_are_dropped_are_said_with_whose_they_are(row):
    """Two of five workers are too slow for every step: both backups are theirs, half each."""
    found, _ = row("ps-sync", {"backup_workers": 2}, workers=5, speed=[1, 1, 1, 0.5, 0.4], batch=2)
    assert "ps-sync trains on 3 gradients a step and drops 2, 50 % of them w3's" in found.notes
    assert found.samples_per_s == pytest.approx(3 * 2 / found.step_s)


def test_servers_that_hold_what_the_others_wait_for_are_said(row):
    """Three workers begin with different servers: of each two first pushes, every worker lacks one reply."""
    options = {"servers": 3, "trigger": {"count": 2}}
    around = {"workers": 3, "sharing": "fifo", "bandwidth": 1e4, "run": {"stagger": "none"}}
    found, _ = row("ps-async", options, **around)
    (said,) = [note for note in found.notes if "stalled" in note]
    assert "every worker waited for a server that held fewer pushes than it counts" in said
    drained, _ = row("ps-async", {"servers": 3, "trigger": "drain"}, **around, server={"update_rate": 1e5})
    assert not any("stalled" in note for note in drained.notes)
