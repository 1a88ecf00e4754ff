"""``simpar import pipedream``: files in, a profile out, nothing half-written."""

import pytest
from commands import ROOT, simpar

GRAPH = "tests/data/pipedream/alexnet.graph.txt"


def test_an_imported_profile_can_be_compared(tmp_path):
    out = tmp_path / "alexnet.yaml"
    done = simpar("import", "pipedream", GRAPH, "--out", out)
    assert done.returncode == 0, done.stderr
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text(
        "name: mine\nmodel: {profile: alexnet.yaml}\ncluster: {workers: 2}\n"
        "network: {bandwidth: 10 Gbit/s}\nstrategies: [allreduce, {pipeline: {microbatches: 4}}]\n"
    )
    assert simpar("compare", scenario).returncode == 0


def test_an_existing_file_is_kept_unless_forced(tmp_path):
    out = tmp_path / "alexnet.yaml"
    out.write_text("mine")
    done = simpar("import", "pipedream", GRAPH, "--out", out)
    assert done.returncode == 2
    assert "--force" in done.stderr
    assert out.read_text() == "mine"
    assert simpar("import", "pipedream", GRAPH, "--out", out, "--force").returncode == 0
    assert out.read_text() != "mine"


@pytest.mark.parametrize("kind", ["csv", "pipedream"])
def test_the_file_that_is_read_is_never_written(tmp_path, kind):
    table = tmp_path / "mine.yaml"
    table.write_text((ROOT / ("tests/data/layers.csv" if kind == "csv" else GRAPH)).read_text())
    before, link = table.read_text(), tmp_path / "other.yaml"
    link.symlink_to(table)
    for out in (table, link):
        done = simpar("import", kind, table, "--batch", 4, "--out", out, "--force")
        assert done.returncode == 2
        assert done.stderr == f"--out: {out} is the file that is read; name another one\n"
    assert table.read_text() == before


def test_a_broken_graph_is_refused_and_nothing_is_written(tmp_path):
    graph, out = tmp_path / "broken.txt", tmp_path / "out.yaml"
    graph.write_text("node1 -- Linear(2, 2) -- forward_compute_time=oops\n")
    done = simpar("import", "pipedream", graph, "--out", out)
    assert done.returncode == 2
    assert done.stderr.startswith(f"{graph}:1:")
    assert "Traceback" not in done.stderr
    assert not out.exists()


def test_without_out_the_profile_goes_to_stdout():
    done = simpar("import", "pipedream", GRAPH)
    assert done.returncode == 0
    assert "layers:" in done.stdout


@pytest.mark.parametrize(
    ("words", "device"),
    [
        (["csv", "tests/data/layers.csv", "--batch", "32"], ""),
        (["hf", "tests/data/hf/gpt2.json", "--seq", "128", "--batch", "2"], ", device: {flops: 10 TFLOP/s}"),
        (
            ["hf", "tests/data/hf/mixtral.json", "--seq", "64", "--batch", "1"],
            ", device: {flops: 10 TFLOP/s}",
        ),
    ],
)
def test_what_other_importers_write_can_be_compared(tmp_path, words, device):
    out = tmp_path / "mine.yaml"
    done = simpar("import", *words, "--out", out)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert done.stderr.startswith(f"wrote {out}: ")
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text(
        f"name: mine\nmodel: {{profile: mine.yaml}}\ncluster: {{workers: 2{device}}}\n"
        "network: {bandwidth: 10 Gbit/s}\nrun: {steps: 2}\nstrategies: [allreduce]\n"
    )
    done = simpar("compare", scenario, "--no-advice")
    assert done.returncode == 0, done.stderr


def test_the_imported_parameters_are_said(tmp_path):
    done = simpar(
        "import", "hf", "tests/data/hf/gpt2.json", "--seq", 8, "--batch", 1, "--out", tmp_path / "g.yaml"
    )
    assert "123 layers, 124 439 808 parameters, float32, sequences of 8 tokens, batch 1" in done.stderr


def test_problems_of_the_table_and_of_the_file_to_write_come_together(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("name,forward_s,backward_s,param_bytes,activation_bytes\nfc,x,1,0,0\n")
    done = simpar("import", "csv", table, "--batch", 1, "--out", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[0].startswith("--out: ")
    assert f"{table}:2:4: row 1 (fc), forward_s: 'x' is not a number" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_family_is_refused_with_the_known_ones(tmp_path):
    config = tmp_path / "config.json"
    config.write_text('{"model_type": "t5"}')
    done = simpar("import", "hf", config, "--seq", 8, "--batch", 1)
    assert done.returncode == 2
    assert "known are: gpt2, gpt_neox, bert, llama, mixtral" in done.stderr


@pytest.mark.parametrize("words", [["csv", "tests/data/layers.csv"], ["hf", "tests/data/hf/gpt2.json"]])
def test_what_no_file_can_say_must_be_given(words):
    done = simpar("import", *words)
    assert done.returncode == 2
    assert "Missing option" in done.stderr


@pytest.mark.parametrize("kind", ["pipedream", "csv", "hf"])
def test_every_importer_has_help_with_examples_that_name_files_which_exist(kind):
    done = simpar("import", kind, "--help")
    examples = [line for line in done.stdout.splitlines() if line.strip().startswith("simpar import")]
    assert len(examples) == 2
    assert all((ROOT / line.split()[3]).is_file() for line in examples)
