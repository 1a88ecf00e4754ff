"""Stores that are damaged, full, write-protected, of another version or too large; and what they hold."""

import os
import shutil
import sqlite3

import pytest
from whatif_process import rows

import simpar
from simpar.errors import InputError
from simpar.result import Use
from simpar.study import store as stores
from simpar.study import whatif
from simpar.study.compare import compare_each
from simpar.study.kept import PackedUses, pack, unpack
from simpar.study.store import APPLICATION_ID, FORMAT, Store

MARKS = (f"PRAGMA application_id = {APPLICATION_ID}", f"PRAGMA user_version = {FORMAT}")


def sql(file, *statements):
    connection = sqlite3.connect(file)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def older(file):
    sql(
        file,
        "CREATE TABLE runs (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
        "INSERT INTO runs VALUES (x'00', x'00')",
        f"PRAGMA application_id = {APPLICATION_ID}",
        f"PRAGMA user_version = {FORMAT - 1}",
    )


def cut(file):
    Store.open(file).close()
    file.write_bytes(file.read_bytes()[:5000])


# -- what cannot be used ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (older, f"has format {FORMAT - 1}, and this simpar reads format {FORMAT}; name another file, or"),
        (cut, "is damaged: .*; name another file, or remove this one"),
        (lambda file: sql(file, *MARKS), "is damaged: no such table: runs"),
        (lambda file: file.write_bytes(os.urandom(9000)), "is not a store of simpar"),
        (os.mkfifo, "is not an ordinary file"),
        (lambda file: file.symlink_to(file), "unable to open|Too many levels|loop"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_store_is_one_problem_that_names_the_file(tmp_path, make, said):
    file = tmp_path / "x.sqlite"
    make(file)
    before = file.read_bytes() if file.is_file() else None
    with pytest.raises(InputError, match=said) as refused:
        Store.open(file)

    (problem,) = refused.value.problems
    assert (problem.path, str(file) in problem.message) == ("--store", True)
    assert before is None or file.read_bytes() == before
    assert os.listdir(tmp_path) == ["x.sqlite"]


def test_an_empty_file_becomes_a_store(tmp_path):
    (tmp_path / "x.sqlite").touch()
    store = Store.open(tmp_path / "x.sqlite")
    store.put(b"k", b"value")

    assert store.find([b"k"]) == {0: b"value"}
    store.close()


def test_an_older_store_is_made_anew_only_where_that_is_asked_for(tmp_path):
    older(tmp_path / "x.sqlite")
    with pytest.raises(InputError, match="has format"):
        Store.open(tmp_path / "x.sqlite")
    store = Store.open(tmp_path / "x.sqlite", renew=True)
    store.put(b"k", b"value")

    assert store.find([b"\0", b"k"]) == {1: b"value"}
    store.close()
    Store.open(tmp_path / "x.sqlite").close()


def test_a_newer_store_is_never_made_anew(tmp_path):
    sql(tmp_path / "x.sqlite", f"PRAGMA application_id = {APPLICATION_ID}", "PRAGMA user_version = 99",
        "CREATE TABLE runs (a)")  # fmt: skip
    with pytest.raises(InputError, match="has format 99"):
        Store.open(tmp_path / "x.sqlite", renew=True)


def test_a_disk_too_full_for_a_new_store_is_said_and_no_file_stays(tmp_path, monkeypatch):
    def full(connection):
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    monkeypatch.setattr(stores, "_make", full)
    with pytest.raises(InputError, match=r"x\.sqlite: database or disk is full; name another file"):
        Store.open(tmp_path / "x.sqlite")
    assert os.listdir(tmp_path) == []


def test_a_write_protected_store_is_read_and_counts_what_it_does_not_keep(tmp_path, monkeypatch):
    file = tmp_path / "x.sqlite"
    store = Store.open(file)
    store.put(b"old", b"value")
    store.close()
    monkeypatch.setattr(os, "access", lambda path, mode: mode == os.R_OK)  # root may write anything
    store = Store.open(file)
    store.put(b"new", b"value")

    assert store.find([b"old", b"new"]) == {0: b"value"}
    assert (store.trouble, store.kept, store.lost) == (f"{file} is write-protected", 0, 1)
    store.close()
    with pytest.raises(InputError, match="cannot be written; name a file in another folder"):
        Store.open(tmp_path / "new.sqlite")


# -- what is found ---------------------------------------------------------------------------------


def test_a_store_left_in_the_middle_of_a_commit_holds_what_was_kept_before(tmp_path):
    whole, left = tmp_path / "whole.sqlite", tmp_path / "left.sqlite"
    store = Store.open(whole)
    store.put(b"a" * 32, b"kept")
    store.close()
    writer = sqlite3.connect(whole, isolation_level=None)
    writer.execute("PRAGMA cache_size = 1")  # pages go to the file before the commit
    writer.execute("BEGIN IMMEDIATE")
    more = [(bytes([number]) * 32, b"", bytes(9000)) for number in range(20)]
    writer.executemany("INSERT INTO runs (key, simpar, value) VALUES (?, ?, ?)", more)
    for ending in ("", "-journal"):
        shutil.copy(f"{whole}{ending}", f"{left}{ending}")  # as they would be after kill -9
    writer.close()

    assert left.stat().st_size > 9000
    assert rows(left) == {b"a" * 32}  # what the tests of killed studies count by
    again = Store.open(left)
    assert again.find([b"a" * 32, bytes([0]) * 32]) == {0: b"kept"}
    again.close()


def test_a_value_that_was_changed_or_is_another_key_s_is_not_there(tmp_path):
    file = tmp_path / "x.sqlite"
    store = Store.open(file)
    for key in (b"a", b"b", b"c"):
        store.put(key, b"value of " + key)
    sql(file, "UPDATE runs SET value = (SELECT value FROM runs WHERE key = x'61') WHERE key = x'62'")
    assert store.find([b"a", b"b", b"c", None, b"d"]) == {0: b"value of a", 2: b"value of c"}

    sql(file, "UPDATE runs SET value = substr(value, 1, length(value) - 1) WHERE key = x'63'")
    assert store.find([b"c"]) == {}
    store.put(b"c", b"value of c")
    assert store.find([b"c"]) == {0: b"value of c"}
    store.close()


def test_what_is_compiled_on_the_way_makes_no_other_version(tmp_path, monkeypatch):
    """The engine is compiled in the middle of a long study, and kept beside its source."""
    monkeypatch.setattr(simpar, "__file__", str(tmp_path / "__init__.py"))
    (tmp_path / "loop.py").write_text("source")
    (tmp_path / "devices.yaml").write_text("source")
    before = stores.source_digest.__wrapped__()
    (tmp_path / "__pycache__").mkdir()
    for ending in ("cpython-311.pyc", "run-1.py311.nbi", "run-1.py311.1.nbc"):
        (tmp_path / "__pycache__" / f"loop.{ending}").write_text("compiled")

    assert stores.source_digest.__wrapped__() == before
    (tmp_path / "devices.yaml").write_text("another source")
    assert stores.source_digest.__wrapped__() != before


def test_runs_of_other_versions_go_first_and_the_oldest_of_them(tmp_path, monkeypatch):
    """Twenty runs of 50 kB, half of another version."""
    file, mine = tmp_path / "x.sqlite", stores.source_digest()
    store = Store.open(file)
    for number in range(20):
        monkeypatch.setattr(stores, "source_digest", lambda number=number: mine if number % 2 else "00" * 32)
        store.put(b"%d" % number, os.urandom(50_000))
    monkeypatch.setattr(stores, "source_digest", lambda: mine)
    store.shrink(10**9)
    assert len(store.find([b"%d" % n for n in range(20)])) == 20

    store.shrink(700_000)
    left = sorted(store.find([b"%d" % n for n in range(20)]))
    others = [number for number in left if number % 2 == 0]
    assert left == sorted([*range(1, 20, 2), *others])
    assert others == list(range(others[0], 20, 2))
    assert 0 < len(others) < 5  # 14 of 50 kB are 700 kB, and there is more than runs in a file
    assert file.stat().st_size <= 750_000  # the space is given back

    store.shrink(100_000)
    assert set(store.find([b"%d" % n for n in range(20)])) <= {17, 19}
    store.close()


def test_what_is_kept_says_the_same_as_before(scene):
    found, _ = compare_each(scene("ps-sync", "allreduce"))
    result = {"comparison": found.to_dict(), "facts": found.facts, "refused": {"x": "why"}, "problems": [],
              "broken": False}  # fmt: skip
    again = unpack(pack(result))

    assert again.comparison.to_dict() == found.to_dict()
    assert (again.comparison.facts, again.refused, again.broken) == (found.facts, {"x": "why"}, False)
    for data in (b"", b"rubbish", pack(result)[:-1], pack(result | {"refused": 3})):
        with pytest.raises(ValueError, match="is no result"):
            unpack(data)


def test_packed_uses_are_a_sequence_like_any_other(scene):
    found, _ = compare_each(scene("ps-sync"))
    result = {"comparison": found.to_dict(), "facts": {}, "refused": {}, "problems": [], "broken": False}
    (row,) = unpack(pack(result)).comparison.rows
    uses = [Use(use.name, "", use.busy_frac, use.bytes) for use in found.rows[0].resources]

    assert isinstance(row.resources, PackedUses)
    assert (len(row.resources), row.resources[0], row.resources[1:]) == (len(uses), uses[0], uses[1:])
    assert row.resources == tuple(uses)
    assert row.resources != tuple(uses[1:])


def test_a_study_that_is_all_there_checks_no_value_again(scene, tmp_path, monkeypatch):
    scenario, vary = scene("allreduce"), {"cluster.workers": [2, 3], "network.latency": "0 s,1 s"}
    first = simpar.whatif(scenario, vary, store=tmp_path / "x.sqlite")
    monkeypatch.setattr(whatif, "_wrong_at", lambda *_: pytest.fail("checked"))

    assert simpar.whatif(scenario, vary, store=tmp_path / "x.sqlite").to_dict() == first.to_dict()
    with pytest.raises(pytest.fail.Exception):
        simpar.whatif(scenario, vary, store=None)


def test_compiled_code_beside_the_source_makes_no_other_version(tmp_path, monkeypatch):
    """Python and numba keep theirs there, whenever something is run for the first time."""
    package = tmp_path / "simpar"
    (package / "__pycache__").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    monkeypatch.setattr(stores.simpar, "__file__", str(package / "__init__.py"))
    digest = stores.source_digest.__wrapped__
    before = digest()
    (package / "__pycache__" / "loop.run-1.py311.nbi").write_bytes(b"compiled")
    assert digest() == before
    (package / "more.py").write_text("")
    assert digest() != before
