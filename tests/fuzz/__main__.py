"""``python -m fuzz -n 1000 --seed 7``: run cases, print a table by kind, keep what failed."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy comes in: a process that forks has one thread

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

from fuzz.runner import DISTURBANCES, Disturber, Result, Runner, run_all, warm


def main() -> int:
    """Run the cases that the options name."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("-n", type=int, default=100, help="cases")
    parser.add_argument("--kind", choices=("inputs", *DISTURBANCES), default="inputs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--case", type=int, help="one case alone, of which everything is kept")
    parser.add_argument("--profile", choices=("quick", "all"), default="all")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where cases that fail are kept")
    parser.add_argument("--table", type=Path, help="file for the table, Markdown")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="fuzz-"))
    warm()
    alone = options.case is not None
    numbers = [options.case] if alone else range(options.first, options.first + options.n)
    runner = (
        Runner(folder, options.seed, options.profile, keep=alone)
        if options.kind == "inputs"
        else Disturber(folder, options.seed, options.kind, keep=alone)
    )
    results = run_all(numbers, runner, 1 if alone else options.jobs)
    text = table(results, options.seed)
    if options.table is not None:
        options.table.write_text(text)
    print(text)
    failed = [result for result in results if result.failures]
    repeat = (
        f"python -m fuzz --kind {options.kind} --seed {options.seed} --profile {options.profile} --folder {folder}"
    )
    for result in failed:
        print(f"{result.title}\n    repeat with: {repeat} --case {result.number}")
    if alone and options.kind == "inputs":
        root = folder / f"{options.seed}-{options.case}"
        print(f"{results[0].title}\nexit {results[0].code}, files in {root}")
        log = root.with_name(root.name + ".log")
        print((log / "out").read_text(), (log / "err").read_text())
    return int(bool(failed))


def table(results: list[Result], seed: int) -> str:
    """Return a table by family of change, or by how processes were disturbed: how cases ended, what was wrong."""
    rows: dict[str, list[Result]] = {}
    for result in results:
        for family in result.families or ["none"]:
            rows.setdefault(family, []).append(result)
    inputs = any(result.layout for result in results)
    columns = ["inputs", "accepted", "refused", "failed"] if inputs else ["cases", "failed"]
    lines = [f"Seed {seed}", "", f"| change | {' | '.join(columns)} |", f"| --- |{' ---: |' * len(columns)}"]
    for name, found in [*sorted(rows.items()), ("all", results)]:
        codes = Counter(result.code for result in found)
        failed = sum(bool(result.failures) for result in found)
        ended = [codes[0] + codes[3], codes[2]] if inputs else []
        lines.append(f"| {name} | {' | '.join(map(str, [len(found), *ended, failed]))} |")
    kinds = Counter(failure.kind for result in results for failure in result.failures)
    lines += ["", *(f"- {kind}: {count}" for kind, count in kinds.most_common())]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
