"""`python -m hardstop worker`, and the program `hardstop`, which hands over to it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import hardstop
from support import Script, environment, script

APP = """
import hardstop
from service_jobs import *

service = hardstop.Service(hardstop.Queue("jobs.db"), workers=1, prefetch=0, grace=50)
for function in (hold, note):
    service.job(function)

class Made:
    inner = hardstop.Service([])

nothing = 3
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


@contextlib.contextmanager
def worker(folder: Path, *arguments: str, program: list[str] | None = None) -> Iterator[Script]:
    command = program or [sys.executable, "-m", "hardstop"]
    with script(None, folder, *arguments, program=[*command, "worker"], cwd=folder) as started:
        yield started


def test_it_runs_the_service_of_a_module(folder: Path) -> None:
    """From the current folder; logs to standard error; exits with the status."""
    queue = hardstop.Queue(folder / "jobs.db")
    queue.enqueue("hold", 1, "gate")
    with worker(folder, "app:service") as started:
        assert started.line().startswith("begun 1")
        started.process.send_signal(signal.SIGTERM)
        (folder / "gate").touch()
        code, out, err = started.end()
    assert (code, out) == (0, "ended 1\n")
    assert "INFO phase: drain phase=drain" in err
    assert err.splitlines()[-1].endswith("exit status 0 status=0")


def test_its_options_are_the_services(folder: Path) -> None:
    queue = hardstop.Queue(folder / "other.db")
    for number in (1, 2):
        queue.enqueue("hold", number, "never")
    options = ["--queue", "other.db", "--workers", "2", "--grace", "6", "--name", "resizer", "-v"]
    with worker(folder, "app:service", *options, "--journal", "journal") as started:
        assert started.line().startswith("begun")
        assert started.line().startswith("begun")
        for _ in range(3):
            started.process.send_signal(signal.SIGTERM)
        code, _, err = started.end()
    assert code == 75
    assert "deadline in" in err
    (run,) = hardstop.Journal(folder / "journal").runs()
    assert (run.service, run.status) == ("resizer", 75)
    assert "other.db" in run.source


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["app"], "'app' names no service: give MODULE:SERVICE, such as app:service"),
        (["nowhere:service"], "there is no module 'nowhere' here or on sys.path"),
        (["app:missing"], "the module 'app' has no 'missing'"),
        (["app:nothing"], "app:nothing is no hardstop.Service but of type int"),
        (["app:service", "--workers", "0"], "argument --workers: invalid"),
        ([], "the following arguments are required: MODULE:SERVICE"),
    ],
)
def test_wrong_use_is_told(arguments: list[str], told: str, folder: Path) -> None:
    with worker(folder, *arguments) as started:
        code, out, err = started.end()
    assert (code, out) == (125, "")
    assert told in err
    assert "Traceback" not in err


def test_a_module_that_fails_shows_where(folder: Path) -> None:
    (folder / "broken.py").write_text("import not_there_at_all\n")
    with worker(folder, "broken:service") as started:
        code, _, err = started.end()
    assert code == 1
    assert "ModuleNotFoundError: No module named 'not_there_at_all'" in err


def test_a_service_in_a_class(folder: Path) -> None:
    with worker(folder, "app:Made.inner") as started:
        assert started.end()[0] == 0


def test_what_the_application_logs_with_is_kept(folder: Path) -> None:
    (folder / "logged.py").write_text(
        "import hardstop, logging\n"
        "logging.basicConfig(format='mine %(message)s', level=logging.INFO)\n"
        "service = hardstop.Service([])\n"
    )
    with worker(folder, "logged:service") as started:
        code, _, err = started.end()
    assert code == 0
    assert all(line.startswith("mine ") for line in err.splitlines())


# --- the program


def the_program() -> str | None:
    """As installed beside the interpreter, or on PATH."""
    beside = Path(sys.executable).parent / "hardstop"
    return str(beside) if beside.exists() else shutil.which("hardstop")


program = pytest.mark.skipif(the_program() is None, reason="the program hardstop is not installed")


@program
def test_the_program_becomes_the_interpreter(folder: Path) -> None:
    """By exec: signals, process and status are the service's."""
    queue = hardstop.Queue(folder / "jobs.db")
    queue.enqueue("hold", 1, "gate")
    with worker(folder, "app:service", program=[str(the_program())]) as started:
        assert started.line().startswith("begun 1")
        assert (
            b"-m\0hardstop\0worker\0app:service"
            in Path(f"/proc/{started.pid}/cmdline").read_bytes()
        )
        os.kill(started.pid, signal.SIGTERM)
        (folder / "gate").touch()
        assert started.end()[0] == 0


@program
def test_the_program_without_an_interpreter(folder: Path) -> None:
    alone = folder / "bin"
    alone.mkdir()
    copied = shutil.copy(str(the_program()), alone)
    variables = {**environment("none"), "PATH": str(alone)}
    told = subprocess.run([copied, "worker", "app:service"], env=variables, capture_output=True)
    assert told.returncode == 125
    assert b"there is no python3 beside this program or on PATH" in told.stderr
    fake = alone / "python3"
    fake.write_text("#!/bin/sh\nexit 1\n")
    fake.chmod(0o755)
    told = subprocess.run([copied, "worker", "app:service"], env=variables, capture_output=True)
    assert told.returncode == 125
    assert b"has no package hardstop: install it there" in told.stderr
