"""The JSON Schema agrees with what load accepts."""

import json

import pytest
from jsonschema import Draft202012Validator

from simpar.errors import InputError
from simpar.scenario import json_schema, load
from simpar.scenario.reader import read_text

FULL = """\
name: everything
model:
  batch: 4
  dtype: float16
  seq: 128
  name: net
  unit: images
  layers:
    - {name: a, kind: conv, flops: 1 GFLOP, backward_flops: 2 GFLOP, parameters: {w: 5}, activation: 1 MB}
    - {name: b, flops: 0, parameters: 5, activation: 0, inputs: [a]}
    - {name: c, inputs: []}
data: {records: 1000}
cluster:
  workers: 2
  device: {preset: v100, flops: 100 TFLOP/s, efficiency: 1, memory: 16 GiB, memory_bandwidth: 900 GB/s}
  speed: [1, 0.5]
  server: {add_rate: 1 GB/s, update_rate: 8 Gbit/s, threads: 2}
network:
  bandwidth: 25 Gbit/s
  latency: '0'
  overhead: 1 \u00b5s
  efficiency: 0.9
  sharing: fifo
  server_bandwidth: 1e2 GB/s
  topology: star
strategies:
  - single
  - single:
  - ps-sync: {servers: 2, placement: balanced, slice_bytes: 4 MiB, overlap: true}
  - ps-async: {name: mine}
  - allreduce: {algorithm: ring, bucket: null, overlap: false}
  - pipeline: {schedule: gpipe, stages: 2, microbatches: 4}
run: {steps: 5, warmup: 0, seed: 3, engine: reference, stagger: none, collectives: closed_form}
validate: {bound: 0.2, repeats: 3}
"""
TIMED = """\
model: {preset: vgg-16, global_batch: 64}
cluster: {workers: 2, device: {forward: 1 s, backward: 2 s, batch: 32}}
network: {bandwidth: 1 B/s}
strategies: [allreduce]
"""


@pytest.fixture(scope="module")
def validator():
    schema = json_schema()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.mark.parametrize("text", [FULL, TIMED])
def test_a_valid_file_satisfies_the_schema(tmp_path, validator, text):
    (tmp_path / "s.yaml").write_text(text, encoding="utf-8")
    load(tmp_path / "s.yaml")
    assert [error.message for error in validator.iter_errors(read_text(text, "s").data)] == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("name: everything", "nam: everything"),
        ("batch: 4", "bach: 4"),
        ("kind: conv", "kid: conv"),
        ("workers: 2", "workrs: 2"),
        ("preset: v100", "preset: v101"),
        ("threads: 2", "thread: 2"),
        ("25 Gbit/s", "25 Gb"),
        ("25 Gbit/s", "25"),
        ("25 Gbit/s", "0"),
        ("1 GFLOP", "1 GFLOP/s"),
        ("sharing: fifo", "sharing: fio"),
        ("- single\n", "- sngle\n"),
        ("- ps-async:", "- ps-asnc:"),
        ("servers: 2", "srvers: 2"),
        ("servers: 2", "servers: 0"),
        ("schedule: gpipe", "schedule: 1f2b"),
        ("seed: 3", "sed: 3"),
        ("validate:", "priced:"),
        ("efficiency: 0.9", "efficiency: 1.1"),
    ],
)
def test_a_misspelt_file_breaks_the_schema_and_is_refused(tmp_path, validator, old, new):
    assert old in FULL
    text = FULL.replace(old, new, 1)
    (tmp_path / "s.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError):
        load(tmp_path / "s.yaml")
    assert not validator.is_valid(read_text(text, "s").data)


def test_the_schema_is_closed_described_and_always_the_same():
    schema = json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert json.dumps(schema) == json.dumps(json_schema())
    for section in [schema, *schema["$defs"].values()]:
        assert section["additionalProperties"] is False
    for name, section in schema["$defs"].items():
        for key, setting in section["properties"].items():
            assert setting.get("description"), f"{name}.{key}"
    bandwidth = schema["$defs"]["NetworkSpec"]["properties"]["bandwidth"]["anyOf"][0]
    assert bandwidth["type"] == ["string", "number"]
    assert bandwidth["examples"] == ["25 Gbit/s"]
