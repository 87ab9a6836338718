"""What the jobs of the benchmark do. Every contestant imports them from here."""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import struct
import subprocess
import time
from dataclasses import dataclass
from typing import Any

# What a job tells of itself: when it began (ns, monotonic), its pid, that of its child or 0.
STAMP = struct.Struct("=qqq")


@dataclass
class Order:
    """A real argument: pickle has to look at every field."""

    number: int
    customer: str
    prices: list[float]
    tags: tuple[str, ...]


def order(number: int) -> tuple[Order, dict[str, Any]]:
    """The pickled arguments of one job: a dataclass and a dictionary."""
    prices = [1.5, 2.5, 99.0]
    options = {"rush": True, "discount": 0.1, "note": "leave it at the door", "id": number}
    return Order(number, "Ada Lovelace", prices, ("new", "paid")), options


def nothing() -> None:
    """The smallest job."""


def same(value: Any) -> Any:
    """Echo."""
    return value


def total(of: Order, options: dict[str, Any]) -> float:
    """Uses its arguments."""
    return sum(of.prices) * (1 - options["discount"])


def begun() -> int:
    """When its first instruction ran, in ns of the monotonic clock."""
    return time.monotonic_ns()


def who() -> int:
    """The worker's pid; long enough that two of them run in two workers."""
    time.sleep(0.05)
    return os.getpid()


def nap(seconds: float) -> None:
    """Holds a worker without using a CPU."""
    time.sleep(seconds)


def _tell(path: str, child: int) -> None:
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), STAMP.size) as shared:
        shared[:] = STAMP.pack(time.monotonic_ns(), os.getpid(), child)


def burn(path: str) -> None:
    """Runs until it is killed."""
    _tell(path, 0)
    while True:
        pass


def burn_with_child(path: str) -> None:
    """Runs until it is killed, beside a child that sleeps."""
    with subprocess.Popen(["sleep", "60"]) as child:
        _tell(path, child.pid)
        while True:
            pass


def hold_gil(path: str) -> None:
    """Sleeps in C with the GIL held, so that no thread of the worker runs."""
    _tell(path, 0)
    import ctypes

    ctypes.PyDLL(None).sleep(60)


def ignore_sigterm(path: str) -> None:
    """Burns a CPU and does not hear SIGTERM."""
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _tell(path, 0)
    while True:
        pass
