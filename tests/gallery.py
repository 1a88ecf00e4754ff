"""``python tests/gallery.py`` draws every figure and the page that shows them: reports/gallery/.

Files are the same bytes every time, so that a difference is a change of simpar or of matplotlib.
"""

import itertools
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import simpar
from simpar.show.plot_whatif import whatif
from simpar.study.points import labels, simulate_points
from simpar.units import parse

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "reports" / "gallery"

QUICKSTART = "scenarios/quickstart.yaml"
COMMANDS = {
    "bars": ("What is each step made of?", f"compare {QUICKSTART}"),
    "money": ("What does an epoch cost?", "compare scenarios/what-it-costs.yaml --by money"),
    "gantt": (
        "What happens in a step, and what does its end wait for?",
        f"compare {QUICKSTART} --figure gantt",
    ),
    "gantt-pipeline": (
        "How does a pipeline fill and drain?",
        "compare scenarios/pipedream-vgg16.yaml --figure gantt --of pipeline",
    ),
    "use": ("Who is busy?", f"compare {QUICKSTART} --figure use --of ps-sync"),
    "staleness": ("How old are gradients?", "compare scenarios/slow-worker.yaml --figure staleness"),
    "cost": ("What is worth its money?", "compare scenarios/what-it-costs.yaml --figure cost"),
    "cost-of-devices": (
        "Which machines are worth their money?",
        "compare scenarios/which-device.yaml --devices t4,v100,a100-80,h100 --figure cost",
    ),
    "scaling": ("How many workers?", "compare scenarios/how-many-workers.yaml --scale workers=1:64:x2"),
    "devices": ("Which machines?", "compare scenarios/which-device.yaml --devices t4,v100,a100-80,h100"),
}
"""The question and the command of each figure that ``simpar compare --plot`` draws."""

RATES = ("network.bandwidth", "1 Gbit/s,2 Gbit/s,5 Gbit/s,10 Gbit/s,25 Gbit/s,50 Gbit/s,100 Gbit/s", "rate")
LATENCIES = ("network.latency", "1 us,10 us,100 us,1 ms,10 ms", "duration")
SERVERS = ("strategies[ps-sync].servers", "1,2,4,8", "")
SHARING = ("network.sharing", "fair,fifo", "word")
STUDIES = {
    "whatif-one": ("What if the network were faster?", (RATES,)),
    "whatif-words": ("What if links served one message at a time?", (SHARING,)),
    "whatif-two": ("Where does another strategy win?", (RATES, LATENCIES)),
    "whatif-three": ("And with more servers?", (RATES, LATENCIES, SERVERS)),
}
"""The question and the axes of each figure that ``simpar whatif --plot`` draws of the quickstart."""


@dataclass(frozen=True)
class Axis:
    """One setting and its values."""

    path: str
    values: tuple
    numbers: tuple | None


@dataclass(frozen=True)
class Study:
    """What :func:`simpar.show.plot_whatif.whatif` draws."""

    scenario: str
    seed: int
    axes: tuple
    points: tuple
    labels: dict
    zipped: bool = False


def study(axes):
    """Return the quickstart at every combination of *axes*."""
    scenario = simpar.load(ROOT / QUICKSTART)
    found = []
    for path, text, kind in axes:
        values = tuple(text.split(",")) if kind else tuple(map(int, text.split(",")))
        numbers = {"": values, "word": None}.get(kind, 0)
        found.append(Axis(path, values, tuple(parse(v, kind) for v in values) if numbers == 0 else numbers))
    combinations = itertools.product(*(axis.values for axis in found))
    paths = [axis.path for axis in found]
    points = simulate_points(scenario, [dict(zip(paths, one, strict=True)) for one in combinations], "--vary")
    return Study(scenario.name, scenario.run.seed, tuple(found), tuple(points), labels(scenario, points))


def run(command):
    """Run simpar and return what it printed."""
    words = [sys.executable, "-m", "simpar", *shlex.split(command)]
    return subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout


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
    for name, (question, axes) in STUDIES.items():
        (FOLDER / f"{name}.svg").write_bytes(whatif(study(axes)))
        vary = " ".join(f"--vary {shlex.quote(f'{path}={values}')}" for path, values, _ in axes)
        shown(name, question, f"simpar whatif {QUICKSTART} {vary} --plot {name}.svg")
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
    (FOLDER / "README.md").write_text("\n".join(page) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
