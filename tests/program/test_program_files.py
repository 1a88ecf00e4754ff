"""Programs written to files and read back."""

import contextlib
import json
import os
from dataclasses import replace

import numpy as np
import pytest

from simpar.errors import ProgramError
from simpar.program import Op, Program, ProgramBuilder


@pytest.fixture
def program():
    builder = ProgramBuilder("by hand", 3, "fair")
    cpu = builder.resource("w0", "device", capacity=2, discipline="priority")
    work = builder.task(
        "w0.forward", Op("forward", worker=0, layers=(0, 2)), cpu, [1.0, 2.0, 4.0], priority=3
    )
    _, end = builder.message(
        "push",
        Op("push", worker=0, server=1, key=5),
        "w0",
        "ps1",
        [("out", 2.0), ("in", 3.0)],
        7.0,
        latency=0.1,
        overhead=0.2,
        after=[work],
    )
    builder.edge(end, work, distance=2, lag=0.3)
    made = builder.build({"warmup": 1, "note": "ä", "nested": {"loads": [1, 2.5]}})
    return replace(made, lags={1: np.array([0.1, 0.2, 0.3])})


def test_what_is_saved_is_loaded(program, tmp_path):
    program.save(tmp_path / "p.npz")
    loaded = Program.load(tmp_path / "p.npz")
    assert loaded.digest() == program.digest()
    assert loaded.tasks == program.tasks
    assert loaded.ops == program.ops
    assert loaded.resources == program.resources
    assert loaded.links == program.links
    assert loaded.meta == program.meta
    assert loaded.iterations == 3
    assert loaded.check() == []
    for column in ("resource", "seconds", "bytes", "overhead", "latency", "message", "priority", "node"):
        assert getattr(loaded, column).dtype == getattr(program, column).dtype
        np.testing.assert_array_equal(getattr(loaded, column), getattr(program, column))
    np.testing.assert_array_equal(loaded.durations[0], [1.0, 2.0, 4.0])
    np.testing.assert_array_equal(loaded.lags[1], [0.1, 0.2, 0.3])


@pytest.mark.parametrize("path", [os.fspath, str])
def test_a_path_may_be_text(program, tmp_path, path):
    program.save(path(tmp_path / "p"))
    assert Program.load(path(tmp_path / "p")).digest() == program.digest()


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"iterations": 4},
        {"meta": {}},
        {"lags": {}},
        {"durations": {}},
        {"lag": np.array([0.0, 0.25])},
        {"at_start": np.array([True, False])},
        {"tasks": ("a", "b")},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_digest_covers_everything(program, change):
    assert replace(program, **change).digest() != program.digest()


def test_what_is_there_is_replaced_as_a_whole_or_not_at_all(program, tmp_path):
    target = tmp_path / "p.npz"
    program.save(target)
    before = target.read_bytes()
    with pytest.raises((TypeError, ValueError)):
        replace(program, meta={"impossible": object()}).save(target)
    with pytest.raises(ValueError):
        replace(program, meta={"nan": float("nan")}).save(target)
    assert target.read_bytes() == before
    assert os.listdir(tmp_path) == ["p.npz"]


def test_a_failure_while_writing_leaves_no_rubbish(program, tmp_path, monkeypatch):
    target = tmp_path / "p.npz"
    program.save(target)
    before = target.read_bytes()

    def full(file, **columns):
        file.write(b"half a pro")
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(OSError, match="no space"):
        program.save(target)
    assert target.read_bytes() == before
    assert os.listdir(tmp_path) == ["p.npz"]


def test_a_missing_folder_is_an_os_error(program, tmp_path):
    with pytest.raises(OSError):
        program.save(tmp_path / "nowhere" / "p.npz")


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(OSError):
        Program.load(tmp_path / "nothing.npz")


def test_a_folder_is_an_os_error(tmp_path):
    with pytest.raises(OSError):
        Program.load(tmp_path)


def refused(path):
    with pytest.raises(ProgramError) as caught:
        Program.load(path)
    return str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"name: quickstart\n", b"\x93NUMPY\x01\x00", bytes(range(256)) * 10]
)
def test_garbage_is_refused_by_name(tmp_path, content):
    (tmp_path / "p.npz").write_bytes(content)
    assert "p.npz is not a saved program" in refused(tmp_path / "p.npz")


def test_pickles_are_not_opened(tmp_path):
    np.savez(tmp_path / "p.npz", header=np.array([object()], dtype=object))
    assert "is not a saved program" in refused(tmp_path / "p.npz")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_refused(program, tmp_path, share):
    program.save(tmp_path / "p.npz")
    whole = (tmp_path / "p.npz").read_bytes()
    (tmp_path / "p.npz").write_bytes(whole[: int(share * len(whole))])
    assert "is not a saved program" in refused(tmp_path / "p.npz")


def test_one_wrong_byte_is_refused_or_changes_nothing(program, tmp_path):
    """The archive has checksums; a byte that they do not cover cannot change the program."""
    program.save(tmp_path / "p.npz")
    whole = (tmp_path / "p.npz").read_bytes()
    for place in range(0, len(whole), 97):
        broken = bytearray(whole)
        broken[place] ^= 0xFF
        (tmp_path / "q.npz").write_bytes(broken)
        with contextlib.suppress(ProgramError):
            assert Program.load(tmp_path / "q.npz").digest() == program.digest(), place


@pytest.mark.parametrize("content", [{"x": np.ones(3)}, {"header": np.ones(3, dtype=np.uint8)}])
def test_another_archive_is_refused(tmp_path, content):
    np.savez(tmp_path / "p.npz", **content)
    assert "is not a saved program" in refused(tmp_path / "p.npz")


def test_an_array_alone_is_refused(tmp_path):
    np.save(tmp_path / "p.npy", np.ones(3))
    assert "is not a saved program" in refused(tmp_path / "p.npy")


def rewritten(program, path, header=None, drop=(), **columns):
    """Save *program* with parts of it replaced, as another hand or another version might."""
    program.save(path)
    with np.load(path) as file:
        parts = {name: file[name] for name in file.files if name not in drop}
    if header is not None:
        written = json.loads(bytes(parts["header"]).decode())
        text = json.dumps(header(written)).encode()
        parts["header"] = np.frombuffer(text, dtype=np.uint8)
    np.savez(path, **parts | columns)


def test_another_format_is_refused_with_the_one_that_can_be_read(program, tmp_path):
    rewritten(program, tmp_path / "p.npz", header=lambda h: h | {"format": 99})
    said = refused(tmp_path / "p.npz")
    assert "format 99" in said
    assert said.endswith("1")


@pytest.mark.parametrize(
    "header",
    [
        lambda h: [],
        lambda h: {"format": 1},
        lambda h: {k: v for k, v in h.items() if k != "tasks"},
        lambda h: h | {"links": [{"name": "out"}]},
        lambda h: h | {"ops": [{"kind": "push", "colour": "red"}] * 2},
    ],
    ids=["a list", "only a format", "no tasks", "a link without a rate", "an unknown field"],
)
def test_a_header_that_does_not_fit_is_refused(program, tmp_path, header):
    rewritten(program, tmp_path / "p.npz", header=header)
    assert "is not a saved program" in refused(tmp_path / "p.npz")


def test_a_missing_column_is_refused(program, tmp_path):
    rewritten(program, tmp_path / "p.npz", drop=["lag"])
    assert "is not a saved program" in refused(tmp_path / "p.npz")


@pytest.mark.parametrize("extra", ["colours.1", "durations.one"])
def test_an_unknown_column_is_refused(program, tmp_path, extra):
    rewritten(program, tmp_path / "p.npz", **{extra: np.ones(3)})
    assert "is not a saved program" in refused(tmp_path / "p.npz")
