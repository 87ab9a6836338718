"""Jobs of services under test: small, and told by files and pipes rather than by time."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from pathlib import Path

import hardstop


def say(*words: object) -> None:
    """A whole line on standard output, from whatever process."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def note(path: str, *words: object) -> None:
    """A whole line at the end of a file."""
    with open(path, "ab", buffering=0) as file:
        file.write((" ".join(map(str, words)) + "\n").encode())


def notes(path: str | os.PathLike[str]) -> list[str]:
    file = Path(path)
    return file.read_text().splitlines() if file.exists() else []


def wait_for(path: str) -> None:
    while not os.path.exists(path):
        time.sleep(0.005)


def hold(number: object, gate: str) -> None:
    """Says that it runs, waits for a file, says that it is through."""
    say("begun", number, os.getpid())
    wait_for(gate)
    say("ended", number)


def fail(text: str) -> None:
    raise ValueError(text)


def refuse(text: str) -> None:
    raise hardstop.MessageRefusedError(text)


def signal_itself() -> None:
    """Has a handler of its own for a while, which Python must call here and nowhere else."""
    seen: list[int] = []
    former = signal.signal(signal.SIGTERM, lambda number, _frame: seen.append(number))
    os.kill(os.getpid(), signal.SIGTERM)
    while not seen:
        time.sleep(0.001)
    signal.signal(signal.SIGTERM, former)
    say("signalled", os.getpid())


def temporary(path: str) -> None:
    note(path, os.environ.get("TMPDIR"), tempfile.gettempdir())
    Path(tempfile.mkdtemp(), "left").write_text("behind")
