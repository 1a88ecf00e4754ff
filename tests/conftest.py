"""What tests of several rooms share."""

import functools
import itertools
import json
import signal
from importlib import import_module

import pytest
from hypothesis import settings

import simpar
from simpar.result import Measured
from simpar.simulate import simulate

# The same examples every time: a change is judged by what it changed, not by the draw. Search for new ones
# with --hypothesis-profile=search.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.register_profile("search", derandomize=False, deadline=None)
settings.load_profile("fixed")

# A shell that runs the tests in the background lets them, and all that they start, ignore Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def scene(tmp_path_factory):
    """Return a function that writes a scenario of a few numbers, all of them SI, and loads it."""
    folder, numbers = tmp_path_factory.mktemp("scenes"), itertools.count()

    def write(
        *strategies,
        layers=((1.0, 2.0, 1000, 0.0),),
        workers=2,
        speed=None,
        bandwidth=1000.0,
        latency=0.0,
        overhead=0.0,
        sharing="fair",
        server_bandwidth=None,
        server=None,
        device=None,
        model=None,
        run=None,
        batch=1,
        data=None,
        per_node=1,
        intra=None,
        variation=None,
        network=None,
    ):
        """Return the scenario.

        Args:
            strategies: kinds, or mappings from a kind to its options.
            layers: (forward seconds, backward seconds, parameters of 4 bytes, bytes of the output).
            server: add_rate and update_rate in bytes per second, overhead in seconds, threads and so on.
            model: instead of *layers*.
            data: (bytes of a record, bytes per second of the store, batches that a worker has room for), or
                the first of them alone.
            per_node: devices of each machine.
            intra: bandwidth and latency of the links inside a machine.
            network: further settings of the section, as they are written.
        """
        links = {
            "bandwidth": f"{bandwidth!r} B/s",
            "latency": f"{latency!r} s",
            "overhead": f"{overhead!r} s",
            "sharing": sharing,
        }
        if server_bandwidth is not None:
            links["server_bandwidth"] = f"{server_bandwidth!r} B/s"
        if intra is not None:
            links["intra"] = {"bandwidth": f"{intra[0]!r} B/s", "latency": f"{intra[1]!r} s"}
        written = [
            {
                "name": f"l{index}",
                "forward": f"{forward!r} s",
                "backward": f"{backward!r} s",
                "parameters": parameters,
                "activation": f"{output!r} B",
            }
            for index, (forward, backward, parameters, output) in enumerate(layers)
        ]
        cluster = {"workers": workers}
        if per_node > 1:
            cluster["devices_per_node"] = per_node
        if speed is not None:
            cluster["speed"] = list(speed)
        if device is not None:
            cluster["device"] = device
        if server:
            units = {"add_rate": " B/s", "update_rate": " B/s", "overhead": " s"}
            cluster["server"] = {
                key: f"{value!r}{units[key]}" if key in units else value for key, value in server.items()
            }
        whole = {
            "name": "scene",
            "model": (model or {"layers": written}) | {"batch": batch},
            "cluster": cluster,
            "network": links | (network or {}),
            "strategies": list(strategies),
            "run": {"steps": 4, "warmup": 2} | (run or {}),
        }
        if variation is not None:
            whole["variation"] = variation
        if data is not None:
            record, *read = data
            whole["data"] = {"record_bytes": f"{record!r} B"}
            if read:
                store, prefetch = read
                whole["data"] |= {"store_bandwidth": f"{store!r} B/s", "prefetch": prefetch}
        file = folder / f"scene-{next(numbers)}.yaml"
        file.write_text(json.dumps(whole))
        return simpar.load(file)

    return write


@pytest.fixture
def agree(record_property):
    """Return a function that compares a figure with what it must be, and keeps both for a report."""

    def compare(what, seen, expected, rel=1e-9, abs=0.0):
        """Fail where *seen* is not *expected*.

        Args:
            what: the name of the figure, with its unit.
        """
        record_property("figure", (what, f"{expected:.7g}", f"{seen:.7g}"))
        assert seen == pytest.approx(expected, rel=rel, abs=abs), what

    return compare


def pytest_generate_tests(metafunc):
    """Run what is said of one engine on either, but for pages that name the engines themselves."""
    module = metafunc.module
    in_room = metafunc.definition.path.parent.name == "simulate" and hasattr(module, "simulate")
    if in_room and not getattr(module, "NAMES_ENGINES", False):
        metafunc.fixturenames.append("engine")
        metafunc.parametrize("engine", ["reference", "compiled"])


@pytest.fixture(autouse=True)
def engines(request, monkeypatch):
    """Let a page on theory run both engines, compare with both, and one on engines run the one it is for."""
    room, module = request.path.parent.name, request.module
    if getattr(module, "NAMES_ENGINES", False):
        return
    if room == "theory":
        run_on_both = request.getfixturevalue("run_on_both")
        monkeypatch.setattr(import_module("simpar.study.compare"), "simulate", run_on_both)
    if getattr(module, "simulate", None) is not simulate:
        return
    if room == "theory":
        monkeypatch.setattr(module, "simulate", run_on_both)
    elif room == "simulate":
        engine = request.node.callspec.params["engine"]
        monkeypatch.setattr(module, "simulate", functools.partial(simulate, engine=engine))


@pytest.fixture(scope="session")
def run_on_both():
    """Return a function that runs a program on both engines and returns the trace, which must be the same."""

    def run(program, engine="auto", progress=None):
        trace = simpar.simulate(program, "compiled")
        assert trace.digest() == simpar.simulate(program, "reference").digest()
        return trace

    return run


@pytest.fixture(scope="session")
def measure(run_on_both):
    """Return a function from a scenario, and a strategy where there are several, to its figures.

    Both engines run it, and must agree.
    """

    def run(scenario, name=None):
        program = simpar.compile(scenario, name or scenario.strategies[0].name)
        assert program.check() == []
        return Measured(run_on_both(program))

    return run
