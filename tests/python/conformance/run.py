#!/usr/bin/env python3
"""Runs CPython's own tests of concurrent.futures against hardstop.ProcessPoolExecutor.

    tests/python/conformance/run.py [--python <interpreter with hardstop>]... [--sample] [-k <part>]

The suite is taken from each interpreter's own library; one that has none is reported as not run.
Every test has a process of its own and a time limit. Prints a table, and how each failed test
failed; the exit code is 0 if nothing failed but what exceptions.py names.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from exceptions import EXCEPTIONS

HERE = Path(__file__).resolve().parent
LIMIT_SECONDS = 60.0
START_METHODS = ("fork", "forkserver", "spawn")

# Answers with two lines: whether there is a suite, and the folders where hardstop is found.
PROBE = """
import importlib.util, json, pathlib, platform
try:
    suite = importlib.util.find_spec("test.test_concurrent_futures") is not None
except ModuleNotFoundError:
    suite = False
import cloudpickle, hardstop
folder = lambda module: str(pathlib.Path(module.__file__).resolve().parent.parent)
folders = [folder(hardstop), folder(cloudpickle)]
print(json.dumps({"version": platform.python_version(), "suite": suite, "folders": folders}))
"""


@dataclass(frozen=True)
class Interpreter:
    """One that has hardstop, and what is known of it."""

    executable: str
    version: str
    has_suite: bool
    folders: tuple[str, ...]


@dataclass(frozen=True)
class Test:
    """One test of one interpreter's suite."""

    python: Path
    version: str
    id: str
    method: str

    @property
    def name(self) -> str:
        return self.id.rpartition(".")[2]

    @property
    def reason(self) -> str | None:
        """Why it may fail."""
        return EXCEPTIONS.get(self.name)


@dataclass(frozen=True)
class Answer:
    """How one test ended: passed, skipped or failed."""

    test: Test
    status: str
    detail: str
    seconds: float


def probe(executable: str) -> Interpreter:
    told = subprocess.run([executable, "-c", PROBE], capture_output=True, text=True, check=False)
    if told.returncode != 0:
        raise SystemExit(f"conformance: {executable} has no working hardstop:\n{told.stderr}")
    known = json.loads(told.stdout)
    return Interpreter(executable, known["version"], known["suite"], tuple(known["folders"]))


def make_environment(interpreter: Interpreter, where: Path) -> Path:
    """A virtual environment in which every interpreter has hardstop's pool; its python."""
    subprocess.run([interpreter.executable, "-m", "venv", "--without-pip", str(where)], check=True)
    python = where / "bin" / "python"
    major, minor, _ = interpreter.version.split(".", 2)
    packages = where / "lib" / f"python{major}.{minor}" / "site-packages"
    shutil.copy(HERE / "hardstop_instead.py", packages)
    lines = [*dict.fromkeys(interpreter.folders), "import hardstop_instead"]
    (packages / "hardstop_instead.pth").write_text("\n".join(lines) + "\n")
    check_environment(python)
    return python


def check_environment(python: Path) -> None:
    """Also the interpreters that the tests start with -I must have ours."""
    code = "import concurrent.futures as f; print(f.ProcessPoolExecutor.__module__)"
    told = subprocess.run(
        [python, "-I", "-c", code], capture_output=True, text=True, check=False, cwd=python.parent
    )
    if not told.stdout.startswith("hardstop"):
        raise SystemExit(
            f"conformance: {python} -I has another executor: {told.stdout}{told.stderr}"
        )


def find_tests(python: Path, interpreter: Interpreter) -> list[Test]:
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        subprocess.run(
            [python, HERE / "one_test.py", "list", report.name], check=True, cwd=python.parent
        )
        found = json.loads(Path(report.name).read_text())
    return [Test(python, interpreter.version, name, method) for name, method in found]


def sample(tests: list[Test], first: int) -> list[Test]:
    """Each test once, the start methods taking turns, another one first for each interpreter."""
    names = list(dict.fromkeys(test.name for test in tests))
    turn = {name: START_METHODS[(first + at) % 3] for at, name in enumerate(names)}
    return [test for test in tests if test.method == turn[test.name]]


def end_session(process: subprocess.Popen[str]) -> None:
    """Ends a test that takes too long, and the interpreters it has started."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def run_test(test: Test) -> Answer:
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as output:
        report = Path(folder, "report.json")
        process = subprocess.Popen(
            [test.python, HERE / "one_test.py", "run", test.id, report],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            text=True,
            cwd=folder,
            start_new_session=True,
        )
        try:
            code: int | None = process.wait(LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            code = None
            end_session(process)
        seconds = time.monotonic() - begin
        output.seek(0)
        said = output.read()
        told = json.loads(report.read_text()) if report.exists() else None
    if code is None:
        return Answer(test, "failed", f"not over after {LIMIT_SECONDS:.0f} s\n{said}", seconds)
    if told is None or code != 0:
        return Answer(test, "failed", f"its process ended with {code}\n{said}", seconds)
    detail = said if told["status"] == "failed" else told["detail"]
    return Answer(test, told["status"], detail, seconds)


def with_a_second_try(answers: list[Answer]) -> list[Answer]:
    """What failed among others runs once more, alone, and says so: these tests have time limits."""
    final = []
    for answer in answers:
        if column(answer) == "failed":
            again = run_test(answer.test)
            print(f"{again.status} alone, at the second try: {again.test.version} {again.test.id}")
            final.append(again)
        else:
            final.append(answer)
    return final


def run_all(tests: Iterable[Test], at_once: int, verbose: bool) -> list[Answer]:
    answers = []
    with concurrent.futures.ThreadPoolExecutor(at_once) as threads:
        for answer in threads.map(run_test, tests):
            answers.append(answer)
            if verbose or (answer.status == "failed" and answer.test.reason is None):
                test = answer.test
                print(f"{answer.status:8}{answer.seconds:6.2f} s  {test.version}  {test.id}")
                if answer.status == "failed":
                    print("    " + answer.detail.strip().replace("\n", "\n    "))
                sys.stdout.flush()
    return answers


def column(answer: Answer) -> str:
    if answer.status == "failed" and answer.test.reason is not None:
        return "excepted"
    return answer.status


COLUMNS = ("passed", "excepted", "failed", "skipped")


def print_table(interpreters: list[Interpreter], answers: list[Answer]) -> None:
    counts: Counter[tuple[str, str, str]] = Counter(
        (each.test.version, each.test.method, column(each)) for each in answers
    )
    print(f"{'interpreter':13}{'start method':14}" + "".join(f"{name:>10}" for name in COLUMNS))
    for interpreter in interpreters:
        version = interpreter.version
        if not interpreter.has_suite:
            print(f"{version:13}not run: this interpreter has no test.test_concurrent_futures")
            continue
        for method in START_METHODS:
            numbers = [counts[version, method, name] for name in COLUMNS]
            print(f"{version:13}{method:14}" + "".join(f"{number:10}" for number in numbers))


def print_exceptions(answers: list[Answer]) -> None:
    status: dict[str, set[str]] = {}
    for each in answers:
        status.setdefault(each.test.name, set()).add(each.status)
    for name, reason in EXCEPTIONS.items():
        if "failed" in status.get(name, ()):
            print(f"excepted: {name}: {reason}")
        elif "passed" in status.get(name, ()):
            print(f"excepted, but passes: {name}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", action="append", help="may be given several times")
    parser.add_argument("--sample", action="store_true", help="each test with one start method")
    parser.add_argument("--at-once", type=int, default=2, help="so many tests at a time")
    parser.add_argument("-k", metavar="PART", help="only tests whose id contains this")
    parser.add_argument("--method", choices=START_METHODS, help="only this start method")
    parser.add_argument("-v", action="store_true", help="print every test")
    return parser.parse_args()


def main() -> int:
    chosen = arguments()
    interpreters = [probe(each) for each in chosen.python or [sys.executable]]
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        tests: list[Test] = []
        for at, interpreter in enumerate(interpreters):
            if interpreter.has_suite:
                python = make_environment(interpreter, Path(folder, interpreter.version))
                found = find_tests(python, interpreter)
                tests += sample(found, at) if chosen.sample else found
        wanted = [
            test
            for test in tests
            if (chosen.k is None or chosen.k in test.id) and chosen.method in (None, test.method)
        ]
        answers = with_a_second_try(run_all(wanted, chosen.at_once, chosen.v))
    print_table(interpreters, answers)
    print_exceptions(answers)
    return 1 if any(column(each) == "failed" for each in answers) else 0


if __name__ == "__main__":
    sys.exit(main())
