"""What theory says holds for both engines."""

import pytest

from simpar.simulate import simulate


@pytest.fixture(autouse=True)
def both_engines(request, monkeypatch, run_on_both):
    """Let ``simulate`` of the test's page run both engines, whose traces must be the same."""
    if getattr(request.module, "simulate", None) is simulate:
        monkeypatch.setattr(request.module, "simulate", run_on_both)
