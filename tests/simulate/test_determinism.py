"""The same file and seed give the same bytes, in any process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import random_programs

import simpar

QUICKSTART = Path(__file__).parents[2] / "scenarios" / "quickstart.yaml"

PRINT = """
import json, sys, simpar
scenario = simpar.load(sys.argv[1], set={"run.steps": 3})
for one in scenario.strategies:
    program = simpar.compile(scenario, one.name)
    print(one.name, program.digest(), simpar.simulate(program).digest())
print(json.dumps(simpar.compare(scenario).to_dict(), allow_nan=False))
"""


def test_two_runs_of_one_program_have_one_digest():
    for sharing in ("fifo", "fair"):
        program = random_programs.draw_messages(7, ties=True, sharing=sharing)
        assert simpar.simulate(program).digest() == simpar.simulate(program).digest()


def test_another_program_has_another_digest():
    one, other = (random_programs.draw(seed, ties=True) for seed in (1, 2))
    assert simpar.simulate(one).digest() != simpar.simulate(other).digest()


@pytest.fixture(scope="module")
def printed():
    def run(seed):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", PRINT, os.fspath(QUICKSTART)],
            env=environment,
            capture_output=True,
            check=True,
            timeout=120,
        )
        return done.stdout.decode()

    return [run(seed) for seed in ("0", "4242")]


def test_programs_traces_and_results_do_not_depend_on_the_hash_seed(printed):
    one, other = printed
    assert one == other
    assert len(one.splitlines()) == 5


def test_another_process_computes_what_this_one_does(printed):
    scenario = simpar.load(QUICKSTART, set={"run.steps": 3})
    for line in printed[0].splitlines()[:-1]:
        name, program, trace = line.split()
        compiled = simpar.compile(scenario, name)
        assert (compiled.digest(), simpar.simulate(compiled).digest()) == (program, trace)
