"""A study on a Dask cluster: a real scheduler and two workers, one of which is killed in the middle."""

import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest
from whatif_process import POINTS, command, rows, wait_for

from simpar.errors import InputError
from simpar.study.cluster import address_of

needs_dask = pytest.mark.skipif(
    subprocess.run([sys.executable, "-c", "import distributed"], capture_output=True, check=False).returncode
    != 0,
    reason="needs Dask: pip install '.[cluster]'",
)


def launch(tmp_path, name, *words):
    log = open(tmp_path / f"{name}.log", "wb")  # noqa: SIM115  # the process has it
    with log:
        return subprocess.Popen([sys.executable, "-m", *words], stdout=log, stderr=log)


@pytest.fixture
def cluster(tmp_path):
    """The address of a scheduler, and its two worker processes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"127.0.0.1:{port}"
    scheduler = [
        "distributed.cli.dask_scheduler",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--no-dashboard",
    ]
    worker = ["distributed.cli.dask_worker", address, "--no-nanny", "--nthreads", "1", "--no-dashboard"]
    processes = [launch(tmp_path, "scheduler", *scheduler)]
    processes += [
        launch(tmp_path, f"worker{n}", *worker, "--local-directory", str(tmp_path)) for n in range(2)
    ]
    log, until = tmp_path / "scheduler.log", time.monotonic() + 60
    while len(re.findall("Register worker", log.read_text())) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    yield f"dask://{address}", processes[1:]
    for process in processes:
        process.kill()
        process.wait()


@needs_dask
@pytest.mark.slow
def test_a_lost_worker_loses_no_run_and_changes_no_figure(cluster, tmp_path):
    address, workers = cluster
    here = subprocess.run(command(tmp_path / "here.sqlite"), capture_output=True, check=True)
    store = tmp_path / "runs.sqlite"
    study = subprocess.Popen(
        command(store, "--cluster", address), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    wait_for(store, 4, study)
    before = len(rows(store))
    os.kill(workers[0].pid, signal.SIGKILL)
    out, said = study.communicate(timeout=120)

    assert study.returncode == 0, said
    assert said == b""
    assert 4 <= before < POINTS
    assert out == here.stdout
    assert rows(store) == rows(tmp_path / "here.sqlite")


@needs_dask
def test_a_cluster_that_does_not_answer_is_said_within_seconds(tmp_path):
    begun = time.monotonic()
    done = subprocess.run(
        command(tmp_path / "runs.sqlite", "--cluster", "dask://127.0.0.1:1"), capture_output=True, check=False
    )

    assert done.returncode == 2
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("--cluster: no cluster answers at dask://127.0.0.1:1; start one")
    assert time.monotonic() - begun < 60  # no figure: only that it does not wait for ever


@needs_dask
def test_what_takes_the_connection_and_says_nothing_is_no_cluster(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"dask://127.0.0.1:{silent.getsockname()[1]}"
        done = subprocess.run(
            command(tmp_path / "runs.sqlite", "--cluster", address),
            capture_output=True,
            check=False,
            timeout=60,  # no figure: only that it does not wait for ever
        )

    assert done.returncode == 2
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith(f"--cluster: no cluster answers at {address}; start one")


@pytest.mark.parametrize("text", ["", "127.0.0.1:8786", "dask://host", "dask://host:99999", "ray://host:1"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(InputError, match="is no address of a cluster; write dask://HOST:PORT"):
        address_of(text)


def test_without_dask_it_says_what_to_install(tmp_path):
    code = (
        "import sys\nsys.modules['distributed'] = None\nfrom simpar.cli import main\n"
        f"sys.argv = {['simpar', *command(tmp_path / 'x.sqlite', '--cluster', 'dask://127.0.0.1:1')[3:]]!r}\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert done.stderr == "--cluster: Dask is not installed; from the checkout: pip install '.[cluster]'\n"
