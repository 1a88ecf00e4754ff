"""What is said of one engine is said of both."""

import functools

import pytest

from simpar.simulate import simulate


def pytest_generate_tests(metafunc):
    """Run each test of a page with ``simulate`` on either engine, but for those that name one."""
    module = metafunc.module
    if getattr(module, "simulate", None) is simulate and not getattr(module, "NAMES_ENGINES", False):
        metafunc.fixturenames.append("engine")
        metafunc.parametrize("engine", ["reference", "compiled"])


@pytest.fixture(autouse=True)
def on_one_engine(request, monkeypatch):
    """Let ``simulate`` of the test's page run the engine that the test is for."""
    engine = getattr(request.node, "callspec", None) and request.node.callspec.params.get("engine")
    if engine and not getattr(request.module, "NAMES_ENGINES", False):
        monkeypatch.setattr(request.module, "simulate", functools.partial(simulate, engine=engine))
