"""``data``: a store needs records, records need a store."""

import pytest

import simpar
from simpar.errors import InputError

FILE = """\
name: store
model: {{preset: resnet-50, batch: 2}}
data: {data}
cluster: {{workers: 2, device: v100}}
strategies: [single]
"""


@pytest.mark.parametrize(
    ("data", "path", "message", "fix"),
    [
        (
            "{record_bytes: 1 kB}",
            "data.record_bytes",
            "without 'store_bandwidth'",
            "store_bandwidth: 10 Gbit/s",
        ),
        (
            "{store_bandwidth: 1 GB/s}",
            "data.store_bandwidth",
            "without 'record_bytes'",
            "record_bytes: 110 kB",
        ),
        ("{prefetch: 2}", "data.prefetch", "does nothing without", "add both"),
        ("{record_bytes: 0 B, store_bandwidth: 1 GB/s}", "data.record_bytes", "is zero", "1 B"),
        (
            "{record_bytes: 1 B, store_bandwidth: 1 GB/s, prefetch: 0}",
            "data.prefetch",
            "is zero",
            "from 1 to",
        ),
    ],
)
def test_half_a_store_is_a_problem(tmp_path, data, path, message, fix):
    file = tmp_path / "store.yaml"
    file.write_text(FILE.format(data=data))
    with pytest.raises(InputError) as caught:
        simpar.load(file)
    (problem,) = caught.value.problems
    assert problem.path == path
    assert message in problem.message
    assert fix in problem.fix
