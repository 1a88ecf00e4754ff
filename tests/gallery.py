"""``python tests/gallery.py`` draws every figure and the page that shows them: reports/gallery/.

Files are the same bytes every time, so that a difference is a change of simpar or of matplotlib.
"""

import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import simpar
from simpar.show.plot_whatif import whatif

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "reports" / "gallery"

MOST_BYTES = 60_000
"""Size of a file, at most: the page is to open at once."""

QUICKSTART = "scenarios/quickstart.yaml"
COMMANDS = {
    "bars": ("What is each step made of?", f"compare {QUICKSTART}"),
    "intervals": ("How far do steps vary?", "compare scenarios/stragglers-at-256.yaml"),
    "money": ("What does an epoch cost?", "compare scenarios/what-it-costs.yaml --by money"),
    "gantt": (
        "What happens in a step, and what does its end wait for?",
        f"compare {QUICKSTART} --figure gantt --of ps-sync",
    ),
    "gantt-pipeline": (
        "How does a pipeline fill and drain?",
        "compare scenarios/pipedream-vgg16.yaml --set 'strategies[pipeline].microbatches=4' --figure gantt "
        "--of pipeline",
    ),
    "use": ("Who is busy?", f"compare {QUICKSTART} --figure use --of ps-sync"),
    "staleness": ("How old are gradients?", "compare scenarios/slow-worker.yaml --figure staleness"),
    "cost": ("What is worth its money?", "compare scenarios/what-it-costs.yaml --figure cost"),
    "cost-of-devices": (
        "Which machines are worth their money?",
        "compare scenarios/which-device.yaml --devices t4,v100,a100-80,h100 --figure cost",
    ),
    "scaling": ("How many workers?", "compare scenarios/how-many-workers.yaml --scale workers=1:64:x2"),
    "scaling-intervals": (
        "And how far does luck change that?",
        f"compare {QUICKSTART} --scale workers=1:16:x2 --set variation.replications=9 "
        "--set 'variation.compute={kind: lognormal, mean: 1, cv: 0.3}'",
    ),
    "learning": (
        "What does each strategy learn, and when?",
        "replay scenarios/digits.yaml --strategy ps-sync --strategy ps-async --strategy softsync "
        "--strategy allreduce",
    ),
    "devices": ("Which machines?", "compare scenarios/which-device.yaml --devices t4,v100,a100-80,h100"),
}
"""The question and the command of each figure that ``simpar compare --plot`` draws."""

RATES = {"network.bandwidth": "1 Gbit/s,5 Gbit/s,10 Gbit/s,25 Gbit/s,100 Gbit/s"}
LATENCIES = {"network.latency": "10 us,100 us,1 ms,10 ms"}
FEWER = {"network.bandwidth": "1 Gbit/s,10 Gbit/s,100 Gbit/s", "network.latency": "10 us,1 ms,10 ms"}
SERVERS = {"strategies[ps-sync].servers": "2,8"}
STUDIES = {
    "whatif-one": ("What if the network were faster?", RATES, {}),
    "whatif-words": ("What if links served one message at a time?", {"network.sharing": "fair,fifo"}, {}),
    "whatif-two": ("Where does another strategy win?", RATES | LATENCIES, {}),
    "whatif-three": ("And with more servers?", FEWER | SERVERS, {}),
    "whatif-zip": (
        "What if every server brings its worker?",
        {"cluster.workers": "2,4,8,16", "strategies[ps-sync].servers": "1,2,4,8"},
        {"zip": True},
    ),
    "whatif-sample": (
        "What if anything may change?",
        {"network.bandwidth": "1 Gbit/s:100 Gbit/s:x1.1", "network.latency": "1 us:10 ms:x1.1"},
        {"sample": 24},
    ),
}
"""Of each figure that ``simpar whatif --plot`` draws of the quickstart: question, axes, options."""


def run(command):
    """Run simpar and return what it printed."""
    words = [sys.executable, "-m", "simpar", *shlex.split(command)]
    return subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def study(name):
    """Return one of the studies as a figure, and the command that draws it."""
    _, vary, options = STUDIES[name]
    found = simpar.whatif(ROOT / QUICKSTART, vary, **options)
    words = [f"--vary {shlex.quote(f'{path}={values}')}" for path, values in vary.items()]
    words += ["--zip"] if options.get("zip") else []
    words += [f"--sample {options['sample']}"] if "sample" in options else []
    return whatif(found), f"simpar whatif {QUICKSTART} {' '.join(words)} --plot {name}.svg"


def write(folder, page):
    """Write the page of a folder of figures; exit where one is too large."""
    (folder / "README.md").write_text("\n".join(page) + "\n", encoding="utf-8")
    large = [file.name for file in sorted(folder.iterdir()) if file.stat().st_size > MOST_BYTES]
    if large:
        sys.exit(f"larger than {MOST_BYTES} bytes: {', '.join(large)}")


def main():
    """Write all figures and the page."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    page = [
        "# Every figure that simpar draws",
        "",
        "`make gallery` draws them anew. `.png` and `.pdf` do, too.",
    ]

    def shown(name, question, command):
        page.extend(["", f"## {question}", "", "```", command, "```", "", f"![{question}]({name}.svg)"])

    for name, (question, command) in COMMANDS.items():
        run(f"{command} --plot reports/gallery/{name}.svg")
        shown(name, question, f"simpar {command} --plot {name}.svg")
    for name, (question, *_) in STUDIES.items():
        figure, command = study(name)
        (FOLDER / f"{name}.svg").write_bytes(figure)
        shown(name, question, command)
    before = f"compare {QUICKSTART} --json"
    after = f"compare {QUICKSTART} --set network.bandwidth='100 Gbit/s' --json"
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("before.json", "after.json")]
        for file, command in zip(files, (before, after), strict=True):
            file.write_text(run(command), encoding="utf-8")
        run(f"compare {files[0]} {files[1]} --plot reports/gallery/two.svg")
    commands = [f"simpar {before} > before.json", f"simpar {after} > after.json"]
    commands.append("simpar compare before.json after.json --plot two.svg")
    shown("two", "What has changed?", "\n".join(commands))
    write(FOLDER, page)


if __name__ == "__main__":
    main()
