"""Measures hardstop beside everything else that runs Python in processes.

    python bench/python/run.py [--quick] [--only CELL ...] [--with CONTESTANT ...]

Writes build/bench/python.md and python.json. ``--only`` measures some cells again and keeps the
rest; ``--more`` adds rounds to what is there. Whoever is not installed is reported as not run.
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import importlib.metadata
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import report
from contestants import installed, title
from plan import Group, groups
from results import Results

HERE = Path(__file__).resolve().parent
MEASURED = HERE.parent.parent / "build" / "bench"
_PACKAGES = (
    *("hardstop", "pebble", "deadpool-executor", "loky", "billiard"),
    *("anyio", "trio-parallel", "distributed", "numpy"),
    *("celery", "redis", "rq", "huey"),
)


def _arguments() -> argparse.Namespace:
    told = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    told.add_argument("--quick", action="store_true", help="one round of each cell")
    told.add_argument("--only", nargs="*", metavar="CELL", help="names, or patterns such as echo_*")
    told.add_argument("--with", nargs="*", dest="who", metavar="CONTESTANT")
    told.add_argument("--more", action="store_true", help="adds to the rounds measured before")
    told.add_argument("--rounds", type=int, help="instead of what each cell has")
    return told.parse_args()


def _run_cell(group: Group, who: str) -> dict[str, Any]:
    if not installed(who):
        return {"trouble": "not run: not installed"}
    command = [sys.executable, str(HERE / "cell.py"), group.cell, who]
    # Into files: what a peer leaves behind would keep pipes open.
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as complaints:
        process = subprocess.Popen(
            command, stdout=output, stderr=complaints, start_new_session=True
        )
        try:
            process.wait(group.time_limit)
        except subprocess.TimeoutExpired:
            return {"trouble": f"did not end within {group.time_limit:g} s"}
        finally:
            _end_session(process)
        output.seek(0)
        complaints.seek(0)
        return _read(output.read().splitlines(), complaints.read(), process.returncode)


def _read(lines: list[str], complaints: str, code: int) -> dict[str, Any]:
    if not lines:
        print(complaints, file=sys.stderr)
        return {"trouble": f"ended with code {code} and no figures"}
    found: dict[str, Any] = json.loads(lines[-1])
    if "failed" in found:
        print(complaints, file=sys.stderr)
    return found


def _end_session(process: subprocess.Popen[bytes]) -> None:
    """The cell and what a peer has left of its workers."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _machine() -> dict[str, str]:
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    versions = []
    for package in _PACKAGES:
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "processor": model,
        "cpus": str(len(os.sched_getaffinity(0))),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": ", ".join(versions),
        "load": f"{os.getloadavg()[0]:.2f}",
    }


def _measure(group: Group, rounds: int, who: list[str] | None, results: Results) -> None:
    given_up: set[str] = set()
    for _ in range(rounds):
        for name in group.contestants:  # A B A B: what the machine does meets all of them
            if name in given_up or (who and not name.startswith(tuple(who))):
                continue
            told = _run_cell(group, name)
            results.add(group.cell, name, told)
            if "figures" not in told:
                given_up.add(name)
                print(f"  {title(name)}: {next(iter(told.values())) or 'cannot'}", flush=True)


def main() -> None:
    told = _arguments()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    results = Results(MEASURED / "python.json", keep=bool(told.only) or told.more)
    results.machine = _machine()
    for group in groups():
        if told.only and not any(fnmatch.fnmatch(group.cell, only) for only in told.only):
            continue
        began = time.monotonic()
        print(group.cell, flush=True)
        rounds = told.rounds or (1 if told.quick else group.rounds)
        if not told.more:
            results.begin(group.cell)
        _measure(group, rounds, told.who, results)
        print(f"  {time.monotonic() - began:.1f} s", flush=True)
        for name in results.contestants(group.cell):
            shown = {f: results.middle(group.cell, name, f) for f in results.names(group.cell)}
            print(
                f"  {title(name):32}", *(f"{f}={_short(v)}" for f, v in shown.items()), flush=True
            )
        # After each: the rest takes minutes, and may be interrupted.
        results.write(report.table(results))
        (MEASURED / "python.md").write_text(report.to_markdown(results))


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


if __name__ == "__main__":
    main()
