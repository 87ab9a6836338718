"""What is measured: each cell is one figure or some, of one contestant, in a process of its own."""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

from contestants import WORKERS, Cannot, Contestant, load, make
from processes import Ends, activity, family, unique_memory

import jobs

Figures = dict[str, float]
Cell = Callable[[str], Figures]

CELLS: dict[str, Cell] = {}

# Whatever takes longer than this to die does not die.
_FOR_EVER = 3.5  # seconds

_QUICK = ("hardstop", "threads")  # thousands of jobs in the time that others need for hundreds


def cell(measure: Cell) -> Cell:
    CELLS[measure.__name__] = measure
    return measure


@contextlib.contextmanager
def _pool(name: str) -> Iterator[Contestant]:
    """Warm: every worker has run jobs. Ends with the process: some never end in order."""
    contestant = make(name)
    contestant.many(jobs.nothing, [()] * 100)
    yield contestant


def _is_quick(name: str) -> bool:
    return name.startswith(_QUICK)


def _quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _median(values: list[float]) -> float:
    return _quantile(values, 0.5)


def _rate(work: Callable[[], Any], jobs_done: int) -> float:
    begin = time.perf_counter()
    work()
    return jobs_done / (time.perf_counter() - begin)


# --- throughput


@cell
def flood(name: str) -> Figures:
    calls: list[tuple[Any, ...]] = [()] * (20_000 if _is_quick(name) else 2_000)
    with _pool(name) as pool:
        pool.many(jobs.nothing, calls)
        return {"rate": _rate(lambda: pool.many(jobs.nothing, calls), len(calls))}


@cell
def map_all(name: str) -> Figures:
    items = list(range(20_000 if _is_quick(name) else 2_000))
    with _pool(name) as pool:
        pool.map(jobs.same, items)
        return {"rate": _rate(lambda: pool.map(jobs.same, items), len(items))}


@cell
def as_completed(name: str) -> Figures:
    calls: list[tuple[Any, ...]] = [()] * 20_000
    with _pool(name) as pool:
        return {"rate": _rate(lambda: pool.as_completed(jobs.nothing, calls), len(calls))}


@cell
def pickled(name: str) -> Figures:
    calls = [jobs.order(number) for number in range(20_000 if _is_quick(name) else 1_000)]
    with _pool(name) as pool:
        pool.many(jobs.total, calls)
        return {"rate": _rate(lambda: pool.many(jobs.total, calls), len(calls))}


@cell
def loop_executor(name: str) -> Figures:
    with _pool(name) as pool:
        rounds = 100 if _is_quick(name) else 20
        return {"rate": pool.loop_rate(jobs.nothing, 100, rounds, "executor")}


@cell
def loop_run(name: str) -> Figures:
    with _pool(name) as pool:
        rounds = 200 if _is_quick(name) else 20
        return {"rate": pool.loop_rate(jobs.nothing, 100, rounds, "run")}


# --- round trips


@cell
def round_trip(name: str) -> Figures:
    with _pool(name) as pool:
        many = 20_000 if _is_quick(name) else 1_000
        pool.trips(jobs.nothing, (), many // 10, 0)
        busy = pool.trips(jobs.nothing, (), many, 0)
        paced = pool.trips(jobs.nothing, (), 500, 0.001)
    return {
        "p50": _median(busy),
        "p99": _quantile(busy, 0.99),
        "paced_p50": _median(paced),
        "paced_p99": _quantile(paced, 0.99),
    }


def _trips_in_a_host(wrapped: bool) -> list[float]:
    """Runs in a worker of somebody else's pool."""
    import hardstop

    if wrapped:
        call = functools.partial(hardstop.killable_wrapper, jobs.nothing)
    else:
        pool = make("hardstop_fork")
        call = functools.partial(pool.one, jobs.nothing)
    took = []
    for _ in range(6_000):
        begin = time.perf_counter()
        call()
        took.append(time.perf_counter() - begin)
    return took[1_000:]


@cell
def in_a_host(name: str) -> Figures:
    """Calls in a worker of the standard executor, which is forked."""
    context = multiprocessing.get_context("fork")
    with futures.ProcessPoolExecutor(1, mp_context=context) as host:
        took = host.submit(_trips_in_a_host, name == "wrapper").result()
    return {"p50": _median(took), "p99": _quantile(took, 0.99)}


@cell
def round_trip_beside_hog(name: str) -> Figures:
    with _pool(name) as pool:
        hog = subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"])
        try:
            pool.trips(jobs.nothing, (), 200, 0)
            took = pool.trips(jobs.nothing, (), 5_000 if _is_quick(name) else 1_500, 0)
        finally:
            hog.kill()
            hog.wait()
    return {"p50": _median(took), "p99": _quantile(took, 0.99)}


# --- large values


def _echo(pool: Contestant, value: Any, times: int) -> float:
    pool.one(jobs.same, value)
    return _median(pool.trips(jobs.same, (value,), times, 0))


_SIZES = ((1, 15), (16, 3), (64, 1))  # MB, and how often it goes there and back


@cell
def echo_bytes(name: str) -> Figures:
    with _pool(name) as pool:
        values = {size: bytes(bytearray(os.urandom(1 << 20)) * size) for size, _ in _SIZES}
        return {f"{size}": _echo(pool, values[size], times) for size, times in _SIZES}


@cell
def echo_numpy(name: str) -> Figures:
    import numpy

    with _pool(name) as pool:
        found = {}
        for size, times in _SIZES:
            value = numpy.arange(size << 17, dtype=numpy.float64)
            found[f"{size}"] = _echo(pool, value, times)
        return found


# --- killing


class _Stamp:
    """Where a job tells when it began."""

    def __init__(self) -> None:
        self._file = tempfile.NamedTemporaryFile(dir="/dev/shm")  # noqa: SIM115
        self._file.write(bytes(jobs.STAMP.size))
        self._file.flush()
        self.path = self._file.name

    def wait(self) -> tuple[int, int, int]:
        """(begun, pid, child's pid)"""
        until = time.monotonic() + 5
        while time.monotonic() < until:
            self._file.seek(0)
            read: tuple[int, int, int] = jobs.STAMP.unpack(self._file.read(jobs.STAMP.size))
            if read[0]:
                return read
            time.sleep(0.0005)
        raise Cannot("its job never began")


def _how_often(name: str, ours: int, others: int) -> int:
    return ours if _is_quick(name) else others


def _end_rest(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _time_to_kill(pool: Contestant, job: Callable[..., Any]) -> float:
    """Seconds from the call that kills until the job's processes are gone; inf: one stays."""
    stamp = _Stamp()
    handle = pool.start(job, stamp.path)
    _begun, pid, child = stamp.wait()
    pids = [each for each in (pid, child) if each]
    ends = Ends(pids)
    begin = time.monotonic_ns()
    pool.stop(handle)
    gone = ends.wait(_FOR_EVER)
    ends.close()
    if gone is None:
        _end_rest(pids)
        return float("inf")
    pool.settle(handle)
    time.sleep(0.02)
    return (gone - begin) / 1e9


@cell
def cancel(name: str) -> Figures:
    with _pool(name) as pool:
        times = [_time_to_kill(pool, jobs.burn) for _ in range(_how_often(name, 40, 4))]
    return {"p50": _median(times), "p99": _quantile(times, 0.99)}


@cell
def cancel_tree(name: str) -> Figures:
    with _pool(name) as pool:
        times = [_time_to_kill(pool, jobs.burn_with_child) for _ in range(_how_often(name, 25, 1))]
    return {"p50": _median(times), "p99": _quantile(times, 0.99)}


def _time_to_next(pool: Contestant) -> float:
    stamp = _Stamp()
    killed = pool.start(jobs.burn, stamp.path)
    stamp.wait()
    holder = pool.start(jobs.nap, 0.3)
    time.sleep(0.02)
    after = pool.start(jobs.begun)
    time.sleep(0.005)
    begin = time.monotonic_ns()
    pool.stop(killed)
    found = pool.result(after)
    pool.settle(killed)
    pool.result(holder)
    return (found - begin) / 1e9  # type: ignore[no-any-return]


@cell
def next_job(name: str) -> Figures:
    with _pool(name) as pool:
        times = [_time_to_next(pool) for _ in range(_how_often(name, 9, 3))]
    return {"p50": _median(times)}


_LIMIT = 0.02  # seconds


def _lateness(pool: Contestant, job: Callable[..., Any]) -> float:
    """Seconds between the limit, counted from the job's first instruction, and its death."""
    stamp = _Stamp()
    pool.result(pool.start(jobs.nothing))  # some make processes only then, within the limit
    handle = pool.start(job, stamp.path, timeout=_LIMIT)
    begun, pid, _child = stamp.wait()
    ends = Ends([pid])
    gone = ends.wait(_FOR_EVER)
    ends.close()
    if gone is None:
        _end_rest([pid])
        return float("inf")
    pool.settle(handle)
    return (gone - begun) / 1e9 - _LIMIT


def _lateness_of(name: str, job: Callable[..., Any]) -> Figures:
    with _pool(name) as pool:
        # The first one reads what it imports from the disk, where nothing can be killed.
        _lateness(pool, job)
        times = []
        for _ in range(_how_often(name, 100, 3)):
            times.append(_lateness(pool, job))
            if times[-1] > 1:
                break
    return {"p50": _median(times), "p99": _quantile(times, 0.99)}


@cell
def late_gil_held(name: str) -> Figures:
    return _lateness_of(name, jobs.hold_gil)


@cell
def late_sigterm_ignored(name: str) -> Figures:
    return _lateness_of(name, jobs.ignore_sigterm)


@cell
def neighbour(name: str) -> Figures:
    """Round trips 1 ms apart while another thread has jobs killed."""
    with _pool(name) as pool:
        over = threading.Event()
        kills = []

        def kill() -> None:
            while not over.is_set():
                kills.append(_time_to_kill(pool, jobs.burn))

        took = []
        killer = threading.Thread(target=kill)
        killer.start()
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            took += pool.trips(jobs.nothing, (), 20, 0.001)
        over.set()
        killer.join()
    if len(kills) < 3:
        raise Cannot("hardly anything was killed in that time")
    return {"worst": max(took), "p99": _quantile(took, 0.99)}


# --- start, size, end


@cell
def start(name: str) -> Figures:
    load(name)
    begin = time.perf_counter()
    pool = make(name)
    pool.one(jobs.nothing)
    first = time.perf_counter()
    pool.close()
    return {"first": first - begin, "end": time.perf_counter() - first}


def _workers(pool: Contestant) -> set[int]:
    handles = [pool.start(jobs.who) for _ in range(WORKERS * 4)]
    workers = {pool.result(handle) for handle in handles}
    time.sleep(0.3)  # the spare is born
    return workers


@cell
def memory(name: str) -> Figures:
    with _pool(name) as pool:
        workers = _workers(pool)
        whole = [unique_memory(pid) for pid in family(os.getpid(), workers)]
        own = [unique_memory(pid) for pid in workers]
    return {"worker": sum(own) / len(own), "pool": float(sum(whole)), "processes": len(whole)}


@cell
def idle(name: str) -> Figures:
    with _pool(name) as pool:
        everybody = [os.getpid(), *family(os.getpid(), _workers(pool))]
        time.sleep(0.5)
        me = threading.get_native_id()
        before = activity(everybody, me)
        time.sleep(2)
        done = activity(everybody, me) - before
    return {"switches": done.switches / 2, "ticks": float(done.ticks)}


@cell
def client_killed(name: str) -> Figures:
    """The client gets SIGKILL while both workers run jobs."""
    times = []
    for _ in range(_how_often(name, 5, 1)):
        client = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("client.py")), name],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert client.stdout is not None
        workers = [int(word) for word in client.stdout.readline().split()]
        if not workers:
            raise Cannot("its client did not start")
        below = family(client.pid, workers)
        ends = Ends([client.pid, *below])
        begin = time.monotonic_ns()
        client.kill()
        gone = ends.wait(_FOR_EVER)
        ends.close()
        client.wait()
        client.stdout.close()
        _end_rest(below)
        times.append(float("inf") if gone is None else (gone - begin) / 1e9)
    return {"worst": max(times)}
