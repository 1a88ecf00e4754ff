"""Published throughputs of TensorFlow's parameter servers, and what simpar predicts for each run.

What is assumed of TensorFlow 1.1 to 1.3, and why:

* Whole variables, in turn over the servers (``tf.train.replica_device_setter``).
* A machine's GPUs add up their gradients before they send them, and a variable is read once a machine
  (``tf_cnn_benchmarks``: gradients are aggregated by copying, variables cached on one of its devices).
* A variable's gradient leaves when its layer's backward has ended, and its new value comes back when all have
  sent theirs, whatever the others do (``distributed_replicated`` has a barrier for each variable).
* A server is a process of its own with an end of its own, even on a worker's machine: what limits is what
  gRPC makes of a link, not the link, and between two processes of one machine it made no more (ps0282).
* The rate of such an end is one measured figure, the same for all rows of a table, and written down here.

A pass takes a third of its time forward and the rest backward. Reading real images is not modelled, so only
the runs on synthetic ones are predicted; on 8 to 32 nodes of Piz Daint the others are 20 to 28 % below.

``python tests/published/parameter_server_tables.py --write FILE`` writes all of it as a page.
"""

import argparse
import csv
import json
import re
import tempfile
from pathlib import Path

import simpar

TABLE = Path(__file__).parents[1] / "data" / "published" / "parameter_servers.csv"
ROWS = {row["case_id"]: row for row in csv.DictReader(TABLE.read_text(encoding="utf-8").splitlines())}

GRPC = 287.89e6
"""Bytes per second between machines by gRPC: TensorFlow issue #6116, 'distributed rate' (ps0286).

Users of those versions measured 0.1 to 0.8 GB/s (ps0282 to ps0289, but for gRPC+GDR), whose geometric mean
is 0.283: this is the figure in the middle. With its neighbours Horovod's rows would be 22 % too low
(200 MB/s), or 63 % and 93 % too high (500 MB/s).
"""

ARIES = 3.4e9
"""Bytes per second where TCP and its copies are out of the way: issue #6116, 3 machines, gRPC+GDR (ps0288).

Nothing was published for gRPC over Piz Daint's own network. It cannot have been slower than
2 x 128 x 8.2 MB / 0.888 s = 2.4 GB/s: on 128 nodes the largest variable goes from and to every worker within
a step. This is the one measured figure of TensorFlow's above that.
"""

HOROVOD = [("resnet-101", "ps0178", "ps0179"), ("vgg-16", "ps0185", "ps0186")]
"""Model, its run on one GPU, its run on sixteen: four machines of four GPUs and a server, 25 Gbit/s."""

ON_PIZ_DAINT = ["ps0092", "ps0094", "ps0096", "ps0098", "ps0100", "ps0102", "ps0104"]
"""Inception-v3 on one P100 a node, each with the best number of servers of a sweep; ps0090 is one GPU."""

ON_P2 = [
    *[("ps0001", 64, case) for case in ("ps0002", "ps0003", "ps0004", "ps0005")],
    *[("ps0016", 32, case) for case in ("ps0017", "ps0018", "ps0019", "ps0020")],
    *[("ps0122", 64, case) for case in ("ps0128", "ps0130", "ps0132", "ps0134", "ps0136")],
]
"""Inception-v3 on eight GPUs a machine: the run on one GPU, the batch, the run to predict."""


def value(case):
    """Return the published figure of a row."""
    return float(ROWS[case]["value"])


def gpus(case):
    """Return all GPUs and those of each machine, as the row's metric says."""
    found = re.search(r"(\d+) GPUs \((\d+)/node\)", ROWS[case]["metric"])
    return int(found[1]), int(found[2])


def images_per_s(model, alone_per_s, batch, nodes, per_node, servers, bandwidth, **options):
    """Return the images a second that are predicted from those of one GPU."""
    seconds = batch / alone_per_s
    network = {"bandwidth": f"{bandwidth!r} B/s", "latency": "20 us", "intra": "pcie-3"}
    given = {"servers": servers, "placement": "round_robin", "overlap": True, "local_merge": True} | options
    data = {
        "name": "published",
        "model": {"preset": model, "batch": batch},
        "cluster": {
            "nodes": nodes,
            "devices_per_node": per_node,
            "device": {"forward": f"{seconds / 3!r} s", "backward": f"{2 * seconds / 3!r} s"},
        },
        "network": network,
        "strategies": [{"ps-sync": given}],
        "run": {"warmup": 1, "steps": 1},
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "published.yaml"
        file.write_text(json.dumps(data))
        return simpar.compare(file, advise=False)["ps-sync"].samples_per_s


def of_horovod(model, alone, **options):
    """Return the prediction for four machines of four GPUs with a server each."""
    return images_per_s(model, value(alone), 64, 4, 4, 4, GRPC, **options)


def of_piz_daint(case):
    """Return the prediction for one P100 a node."""
    workers, per_node = gpus(case)
    servers = int(ROWS[case]["servers"])
    return images_per_s("inception-v3", value("ps0090"), 64, workers, per_node, servers, ARIES)


def of_p2(alone, batch, case):
    """Return the prediction for machines of eight GPUs."""
    total, per_node = gpus(case)
    servers = int(ROWS[case]["servers"])
    return images_per_s("inception-v3", value(alone), batch, total // per_node, per_node, servers, GRPC)


def page():
    """Return all predictions beside what was published, as Markdown."""
    lines = [
        "# Published throughputs of parameter servers, predicted",
        "",
        "Written by `make reports`. Compute times are those of the published run on one GPU; nothing else",
        "is fitted. The rates of an end of gRPC are measured figures, chosen after a look at what others",
        f"would give: {GRPC / 1e6:.2f} MB/s between machines on Ethernet (200 MB/s would put Horovod's rows",
        f"22 % too low, 500 MB/s 63 and 93 % too high), and {ARIES / 1e9:.1f} GB/s on Piz Daint, whose own",
        "rate nobody published. Assumptions and sources: `tests/published/parameter_server_tables.py`,",
        "`tests/data/published/parameter_servers.csv`.",
        "",
        "| run | published images/s | predicted | error |",
        "|---|---:|---:|---:|",
    ]

    def add(name, published, predicted):
        lines.append(f"| {name} | {published:,.1f} | {predicted:,.1f} | {predicted / published - 1:+.1%} |")

    for model, alone, together in HOROVOD:
        add(f"Horovod PR #44, {model}, 16 GPUs", value(together), of_horovod(model, alone))
    for alone, batch, case in ON_P2:
        name = f"p2.8xlarge, Inception-v3, batch {batch}, {gpus(case)[0]} GPUs ({case})"
        add(name, value(case), of_p2(alone, batch, case))
    for case in ON_PIZ_DAINT:
        add(f"Piz Daint, Inception-v3, {gpus(case)[0]} GPUs ({case})", value(case), of_piz_daint(case))
    lines += ["", "Other assumptions for Horovod's rows, at the same rate:", ""]
    lines += ["| assumption | ResNet-101 | VGG-16 |", "|---|---:|---:|"]
    others = {
        "every GPU a worker of its own": {"local_merge": False},
        "no overlap with the backward pass": {"overlap": False},
        "servers share their machine's end": {"colocate": True},
        "variables cut over all servers": {"placement": "sliced"},
    }
    for name, options in others.items():
        errors = [of_horovod(model, alone, **options) / value(case) - 1 for model, alone, case in HOROVOD]
        lines.append(f"| {name} | " + " | ".join(f"{error:+.0%}" for error in errors) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    text = page()
    if given.write:
        given.write.write_text(text, encoding="utf-8")
    print(text, end="")
