"""Real work that cannot be stopped from inside, stopped: ``python -m hardstop demo``."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from concurrent.futures import Future as AnyFuture
from functools import partial
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

from . import (
    ProcessCancelTimeout,
    ProcessPoolExecutor,
    ProcessTimeout,
    ProcessTimeoutError,
    current_job,
)

_MARK = "HARDSTOP_DEMO"


def _backtrack() -> bool:
    """A regular expression that backtracks for ever, and keeps the GIL while it does."""
    return re.match(r"(\w+\s?)+$", "the quick brown fox jumps over the lazy dogs!") is not None


def _leave_a_daemon() -> None:
    """Starts a process that detaches and ignores SIGTERM, then waits."""
    subprocess.Popen(
        ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"], start_new_session=True
    ).poll()
    time.sleep(3600)


def _count_politely(total: int) -> int:
    """Looks whether it should stop, and ends by itself."""
    job = current_job()
    for number in range(total):
        job.progress(number, total)
        if job.cancel_requested:
            return number
        time.sleep(0.001)
    return total


def _processes() -> list[int]:
    """What carries this demonstration's mark in its environment, this process excepted."""
    wanted = f"{_MARK}={os.environ[_MARK]}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
            running = b") Z " not in (entry / "stat").read_bytes()
        except OSError:
            continue
        if running and wanted in environment:
            found.append(int(entry.name))
    return found


def _tell(number: int, title: str, *lines: str) -> None:
    print(f"{number}  {title}")
    for line in lines:
        print(f"   {line}")
    print(flush=True)


def _wait_for(future: AnyFuture[Any]) -> None:
    while not future.running():
        time.sleep(0.002)


def _time_limit(pool: ProcessPoolExecutor) -> None:
    job = pool.submit(_backtrack, ProcessTimeout(0.5))
    try:
        job.result()
    except ProcessTimeoutError as error:
        summary, *stack = str(error).splitlines()
        _tell(
            1,
            "a regular expression that backtracks for ever and keeps the GIL",
            f"stopped    {summary}",
            *(f"           {line}" for line in stack if "File" in line),
        )


def _tree(pool: ProcessPoolExecutor) -> int:
    before = len(_processes())
    job = pool.submit(_leave_a_daemon, ProcessCancelTimeout(0.0))
    _wait_for(job)
    while len(_processes()) < before + 2:  # sh and its sleep
        time.sleep(0.01)
    begun = time.perf_counter()
    job.cancel()
    try:
        job.result()
    except BaseException as error:
        took = (time.perf_counter() - begun) * 1e3
        outcome = job.outcome
        stopped = outcome.processes_stopped if outcome else 0
        _tell(
            2,
            "a job that leaves a daemon behind",
            f"stopped    {type(error).__name__} {took:.2f} ms after cancel()",
            f"gone       {stopped} processes, the daemon with them",
        )
        return stopped
    return 0


async def _asyncio(pool: ProcessPoolExecutor) -> None:
    loop = asyncio.get_running_loop()
    begun = time.perf_counter()
    try:
        await asyncio.wait_for(loop.run_in_executor(pool, time.sleep, 3600.0), 0.3)
    except asyncio.TimeoutError:
        waited = time.perf_counter() - begun
    task = asyncio.ensure_future(pool.run(time.sleep, 3600.0))
    await asyncio.sleep(0.1)
    begun = time.perf_counter()
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        took = (time.perf_counter() - begun) * 1e3
    _tell(
        3,
        "asyncio: time.sleep(3600) in run_in_executor, and in pool.run",
        f"stopped    by asyncio.wait_for after {waited:.2f} s",
        f"gone       CancelledError from pool.run {took:.2f} ms after task.cancel(), "
        "when the process was gone",
    )


def _grace(pool: ProcessPoolExecutor) -> None:
    job = pool.submit(partial(_count_politely, 100_000), ProcessCancelTimeout(2.0))
    _wait_for(job)
    time.sleep(0.05)
    job.cancel()
    _tell(
        4,
        "a job that is asked to stop, and has two seconds of grace",
        f"returned   {job.result()}, by itself; nobody was killed",
    )


def main() -> int:
    resource_tracker.ensure_running()  # multiprocessing's, and this process's: it stays
    os.environ[_MARK] = str(os.getpid())
    print("hardstop stops what cannot be stopped from inside, in Python\n")
    with ProcessPoolExecutor(max_workers=2) as pool:
        _time_limit(pool)
        stopped = _tree(pool)
        asyncio.run(_asyncio(pool))
        _grace(pool)
    left = _processes()
    print(f"left       {len(left) or 'nothing'}")
    return 0 if stopped >= 2 and not left else 1


if __name__ == "__main__":
    sys.exit(main())
