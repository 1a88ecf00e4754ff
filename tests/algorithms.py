"""``python tests/algorithms.py`` writes the page on every way of training: reports/algorithms/.

Texts are those of ``simpar strategies``; each has the timeline of a step of four workers. Files are the same
bytes every time.
"""

import json
import shlex
from pathlib import Path

from gallery import run, write

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "reports" / "algorithms"

MODEL = (
    "scenarios/quickstart.yaml --set cluster.workers=4 --set 'model={preset: alexnet, batch: 256}' "
    "--set network.bandwidth='100 Gbit/s'"
)

VARIANTS = {
    "single": [("One device does everything.", "{single: }")],
    "hosted": [
        ("All read, all compute, one adds up.", "{hosted: }"),
        ("Seven parts on four workers.", "{hosted: {parts: 7}}"),
    ],
    "ps-sync": [
        ("All push, the servers update, all pull.", "{ps-sync: {servers: 2}}"),
        ("Pushes hide behind the backward pass.", "{ps-sync: {overlap: true}}"),
        ("Every server has a copy of the model.", "{ps-sync: {servers: 2, placement: replicated}}"),
        ("A step does without its slowest worker.", "{ps-sync: {servers: 2, backup_workers: 1}}"),
    ],
    "ps-async": [
        ("Everybody goes their own pace.", "{ps-async: {servers: 2}}"),
        ("A server waits for two pushes.", "{ps-async: {servers: 2, trigger: {count: 2}}}"),
        ("Two iterations are on their way at once.", "{ps-async: {servers: 2, window: 2}}"),
        ("Two batches, then one push.", "{ps-async: {servers: 2, push_every: 2}}"),
    ],
    "ps-ssp": [("Nobody is more than two iterations ahead.", "{ps-ssp: {servers: 2, staleness: 1}}")],
    "allreduce": [
        ("A ring.", "{allreduce: {algorithm: ring}}"),
        ("A ring that adds up buckets while the backward pass goes on.", "{allreduce: {overlap: true}}"),
        ("A tree.", "{allreduce: {algorithm: tree}}"),
        ("Halving, then doubling.", "{allreduce: {algorithm: halving-doubling}}"),
    ],
    "pipeline": [
        ("All forwards, then all backwards.", "{pipeline: {microbatches: 4}}"),
        ("One forward, one backward.", "{pipeline: {schedule: 1f1b, microbatches: 4}}"),
        (
            "Two parts of the model on each stage.",
            "{pipeline: {schedule: interleaved, chunks: 2, microbatches: 4}}",
        ),
    ],
    "replicated": [("All get the parameters, each predicts its share of the records.", "{replicated: }")],
    "ensemble": [("All predict all the records, and vote.", "{ensemble: {combine: vote}}")],
    "tensor": [("All compute everything, but of linear layers a quarter each.", "{tensor: }")],
}
"""By kind, what is shown of it and how a scenario writes it."""


READ = " --set 'data={record_bytes: 110 kB, store_bandwidth: 20 Gbit/s}'"
AROUND = {"hosted-1": READ, "hosted-2": READ, "ps-sync-4": " --set 'cluster.speed=[1, 1, 1, 0.6]'"}
"""What else a figure needs, to show what it is about."""


def main():
    """Write all figures and the page."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    page = [
        "# The algorithms, one by one",
        "",
        "Every way of training that simpar knows, with a step of AlexNet on four workers as simulated: who",
        "computes, what crosses which link, and what the end of the step waits for. `simpar strategies",
        "NAME` says the same in a terminal, and lists the options; `make gallery` draws this page anew.",
    ]
    told = {one["name"]: one for one in json.loads(run("strategies --json"))["strategies"]}
    for kind, text in ((kind, one["text"]) for kind, one in told.items()):
        page += ["", f"## {kind}", "", text]
        for number, (said, written) in enumerate(VARIANTS[kind], start=1):
            name = f"{kind}-{number}"
            command = (
                f"compare {MODEL} --set {shlex.quote(f'strategies=[{written}]')} --no-advice --figure gantt"
            )
            run(f"{command} --plot reports/algorithms/{name}.svg")
            page += ["", f"`{written}`: {said}", "", f"![{said}]({name}.svg)"]
    write(FOLDER, page)


if __name__ == "__main__":
    main()
