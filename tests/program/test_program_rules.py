"""Every rule of ``Program.check``, each broken alone."""

from dataclasses import replace

import numpy as np
import pytest

from simpar.errors import ProgramError
from simpar.program import Link, Op, ProgramBuilder, Resource

WORK = Op("forward", worker=0)
CPU = {"name": "cpu", "kind": "device"}
NOTHING = {"resources": [None] * 3, "seconds": (0.0, 0.0, 0.0)}


def made(edges=(), seconds=(1.0, 1.0, 1.0), resources=(CPU,) * 3, iterations=2):
    """Return a program of tasks a, b, c, ..., all on one FIFO resource unless said, and so many edges."""
    builder = ProgramBuilder("by hand", iterations)
    for name, each, resource in zip("abcd", seconds, resources, strict=False):
        builder.task(name, WORK, -1 if resource is None else builder.resource(**resource), each)
    for source, target, options in edges:
        builder.edge("abcd".index(source), "abcd".index(target), **options)
    return builder.build()


def message(sharing="fair"):
    builder = ProgramBuilder("by hand", 1, sharing)
    builder.message("m", Op("push"), "a", "b", [("out", 1.0), ("in", 1.0)], 4.0, latency=0.0)
    return builder.build()


def with_column(column, values, program=None):
    program = program or made()
    return replace(program, **{column: np.array(values, dtype=getattr(program, column).dtype)})


def problem(program):
    """Return the path of the only problem, and what is said of it."""
    (only,) = program.check()
    return only.path, only.message


def assert_breaks(program, path, *words):
    where, said = problem(program)
    assert where == path
    for word in words:
        assert word in said


# -- what is allowed -------------------------------------------------------------------------------


def test_a_program_that_keeps_the_rules_has_no_problems():
    assert made([("a", "b", {}), ("b", "c", {}), ("c", "a", {"distance": 1})]).check() == []
    assert message("fair").check() == []
    assert message("fifo").check() == []


def test_a_program_without_tasks_is_valid():
    assert ProgramBuilder("empty", 1).build().check() == []


def test_a_cycle_over_iterations_is_no_cycle():
    assert made([("a", "b", {}), ("b", "a", {"distance": 1})]).check() == []


def test_ranks_may_fall_where_there_is_a_delay():
    assert made([("b", "a", {})]).check() == []
    assert made([("b", "a", {"at_start": True, "lag": 1e-9})]).check() == []


# -- columns and names -----------------------------------------------------------------------------


def test_there_is_an_iteration_at_least():
    assert_breaks(made(iterations=0), "iterations", "0")


@pytest.mark.parametrize(
    "column", ["resource", "seconds", "bytes", "overhead", "latency", "message", "priority", "node"]
)
def test_every_column_has_a_row_for_each_task(column):
    assert_breaks(with_column(column, [0, 0]), column, "2", "3 tasks")


@pytest.mark.parametrize("column", ["target", "distance", "lag", "at_start"])
def test_every_column_has_a_row_for_each_edge(column):
    assert_breaks(with_column(column, [], made([("a", "b", {})])), column, "0", "1 edges")


def test_there_is_an_op_for_each_task():
    assert_breaks(replace(made(), ops=(WORK,)), "ops", "1", "3 tasks")


def test_names_of_tasks_are_unique():
    assert_breaks(replace(made(), tasks=("a", "b", "a")), "a", "two tasks")


def test_names_of_resources_are_unique():
    program = made()
    assert_breaks(replace(program, resources=program.resources * 2), "cpu", "two resources")


# -- numbers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["seconds", "bytes", "overhead", "latency"])
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, -1.0])
def test_figures_of_tasks_are_finite_and_not_negative(column, wrong):
    assert_breaks(with_column(column, [1.0, wrong, 1.0]), "b", column, str(wrong))


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -1.0])
def test_lags_are_finite_and_not_negative(wrong):
    assert_breaks(made([("a", "b", {"lag": wrong})]), "a -> b", "lag", str(wrong))


def test_distances_are_not_negative():
    assert_breaks(made([("a", "b", {"distance": -1})]), "a -> b", "distance", "-1")


@pytest.mark.parametrize(("column", "wrong"), [("source", 3), ("source", -1), ("target", 3), ("target", -1)])
def test_edges_join_tasks_that_exist(column, wrong):
    assert_breaks(with_column(column, [wrong], made([("a", "b", {})])), "edges", "does not exist")


@pytest.mark.parametrize("rate", [0.0, -1.0, np.nan, np.inf])
def test_rates_of_links_are_finite_and_above_zero(rate):
    assert_breaks(replace(message(), links=(Link("out", rate), Link("in", 1.0))), "out", "rate", str(rate))


def test_durations_by_iteration_reach_for_all_iterations():
    assert_breaks(replace(made(), durations={1: np.array([1.0])}), "b", "1 durations", "2 iterations")


@pytest.mark.parametrize("wrong", [0.0, 0.9e-12, -1.0, np.nan, np.inf])
def test_durations_by_iteration_take_a_picosecond_or_more(wrong):
    assert_breaks(replace(made(), durations={1: np.array([1.0, wrong])}), "b", "1 ps")


def test_durations_belong_to_a_task():
    assert_breaks(replace(made(), durations={3: np.ones(2)}), "durations[3]", "no such task")


@pytest.mark.parametrize("wrong", [[1.0], [1.0, -1.0], [1.0, np.nan], [np.inf, 1.0]])
def test_lags_by_iteration_are_all_there_finite_and_not_negative(wrong):
    assert_breaks(replace(made([("a", "b", {})]), lags={0: np.array(wrong)}), "a -> b", "lags")


def test_lags_belong_to_an_edge():
    assert_breaks(replace(made(), lags={0: np.ones(2)}), "lags[0]", "no such edge")


# -- resources -------------------------------------------------------------------------------------


def test_resources_have_a_place():
    assert_breaks(made(resources=[CPU | {"capacity": 0}] * 3), "cpu", "capacity", "0")


def test_resources_serve_in_a_known_way():
    assert_breaks(made(resources=[CPU | {"discipline": "random"}] * 3), "cpu", "discipline", "random")


@pytest.mark.parametrize("wrong", [3, -2])
def test_tasks_occupy_resources_that_exist(wrong):
    assert_breaks(with_column("resource", [0, wrong, 0]), "b", "no resource", str(wrong))


@pytest.mark.parametrize(
    ("route", "word"), [((0, 2), "does not exist"), ((-1,), "does not exist"), ((0, 1, 0), "twice")]
)
def test_routes_cross_links_that_exist_once(route, word):
    program = replace(message(), resources=(Resource("a>b", "channel", route=route),))
    assert_breaks(program, "a>b", "route", word)


@pytest.mark.parametrize("wrong", [{"route": ()}, {"route": (0, 1), "capacity": 2}])
def test_a_channel_has_a_route_and_one_place(wrong):
    program = replace(message(), resources=(Resource("a>b", "channel", **wrong),))
    assert_breaks(program, "a>b", "route", "capacity 1")


def test_a_message_on_a_channel_has_no_duration():
    assert_breaks(with_column("seconds", [1.0], message()), "m", "duration")


def test_a_message_on_a_channel_has_bytes_or_overhead():
    empty = with_column("bytes", [0.0], message())
    assert_breaks(empty, "m", "no time")
    assert with_column("overhead", [1.0], empty).check() == []


@pytest.mark.parametrize("seconds", [0.0, 0.9e-12])
def test_no_task_occupies_a_resource_for_no_time(seconds):
    assert_breaks(with_column("seconds", [1.0, seconds, 1.0]), "b", "cpu", "no time")


def test_what_takes_time_occupies_something():
    assert_breaks(with_column("resource", [0, -1, 0]), "b", "occupies nothing")
    varying = replace(made(**NOTHING), durations={1: np.ones(2)})
    assert_breaks(varying, "b", "occupies nothing")


def test_nodes_are_of_a_known_kind():
    assert_breaks(with_column("node", [0, 9, 0]), "b", "9")


def test_hops_of_a_message_carry_the_same_bytes():
    assert_breaks(with_column("bytes", [4.0, 5.0], message("fifo")), "m@in", "5", "m@out", "4")


# -- order -----------------------------------------------------------------------------------------


def rotations(text):
    names = text.split()
    turned = [names[n:] + names[:n] for n in range(len(names))]
    return [" -> ".join([*names, names[0]]) for names in turned]


def test_a_cycle_within_an_iteration_is_named():
    where, said = problem(made([("a", "b", {}), ("b", "c", {}), ("c", "b", {})]))
    assert where in rotations("b c")
    assert "wait for each other" in said


def test_a_task_that_waits_for_itself_is_a_cycle():
    assert_breaks(made([("b", "b", {})]), "b -> b", "wait for each other")


def test_a_cycle_is_named_in_the_order_in_which_its_tasks_run():
    where, _ = problem(made([("b", "a", {}), ("a", "c", {}), ("c", "b", {})]))
    assert where in rotations("b a c")


def test_a_long_cycle_is_cut_short():
    builder = ProgramBuilder("by hand", 1)
    cpu = builder.resource("cpu", "device")
    tasks = [builder.task(f"t{n}", WORK, cpu, 1.0) for n in range(50)]
    for n, task in enumerate(tasks):
        builder.edge(task, tasks[(n + 1) % 50])
    where, _ = problem(builder.build())
    assert where.endswith("-> ...")
    assert where.count("->") == 8


def test_ranks_rise_where_a_token_leaves_at_the_start():
    assert_breaks(made([("b", "a", {"at_start": True})]), "b -> a", "ranks")
    assert made([("a", "b", {"at_start": True})]).check() == []


def test_ranks_rise_where_a_task_takes_no_time():
    assert_breaks(made([("b", "a", {})], **NOTHING), "b -> a", "ranks")
    assert made([("b", "a", {"lag": 1e-9})], **NOTHING).check() == []
    assert made([("a", "b", {})], **NOTHING).check() == []


def test_the_least_of_the_lags_by_iteration_counts():
    program = made([("b", "a", {"at_start": True, "lag": 1.0})])
    assert replace(program, lags={0: np.array([1.0, 2.0])}).check() == []
    assert_breaks(replace(program, lags={0: np.array([1.0, 0.0])}), "b -> a", "ranks")


def test_a_start_reaches_a_later_iteration_with_a_lag_only():
    told = {"at_start": True, "distance": 1}
    assert_breaks(made([("a", "b", told)]), "a -> b", "without any delay")
    assert made([("a", "b", told | {"lag": 1e-9})]).check() == []
    assert made([("a", "b", {"distance": 1})]).check() == []


def test_a_priority_resource_tells_its_starts_with_a_lag():
    """Its grants come last in an instant, so what they set off at once would find the others' made."""
    pool = {
        "resources": [{"name": "pool", "kind": "server", "discipline": "priority"}, CPU],
        "seconds": (1.0, 1.0),
    }
    assert_breaks(made([("a", "b", {"at_start": True})], **pool), "a -> b", "without delay")
    assert made([("a", "b", {"at_start": True, "lag": 1e-9})], **pool).check() == []
    assert made([("a", "b", {})], **pool).check() == []


def test_a_resource_of_several_places_may_tell_its_starts_at_once():
    pool = {"resources": [{"name": "pool", "kind": "server", "capacity": 2}, CPU], "seconds": (1.0, 1.0)}
    assert made([("a", "b", {"at_start": True})], **pool).check() == []


def test_all_problems_are_found_at_once_and_raised_together():
    edges = [("b", "a", {"at_start": True}), ("a", "c", {"at_start": True, "distance": 1})]
    program = with_column("seconds", [1.0, 1.0, 0.0], made(edges))
    problems = program.check()
    assert {problem.path for problem in problems} == {"c", "b -> a", "a -> c"}
    with pytest.raises(ProgramError) as caught:
        program.require_valid()
    assert list(caught.value.problems) == problems
    assert all(problem.file == "by hand" for problem in problems)
