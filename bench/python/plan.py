"""Which cells are measured, and the rows of the table with the targets of each."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

STANDARD = ("std_fork", "std_forkserver", "std_spawn")
LOOPS = ("anyio", "trio_parallel")
EXECUTORS = (*STANDARD, "deadpool", "loky")
PROCESS_POOLS = (*EXECUTORS, "mp_pool", "pebble", "billiard", *LOOPS)
KILLERS = ("pebble", "deadpool", "billiard", *LOOPS)
TIMERS = KILLERS
ON_DASK = ("hardstop_dask", "dask")
SEMAPHORES = ("mp_semaphore", "asyncio_semaphore", "redis_lease")
METHODS = ("fork", "forkserver", "spawn")
SERVICES = ("hardstop", "hardstop_journal")
QUEUES = ("celery", "rq", "huey")


@dataclass(frozen=True)
class Group:
    """Cells whose contestants take turns."""

    cell: str
    contestants: tuple[str, ...]
    rounds: int = 5
    time_limit: float = 20.0  # seconds for one contestant in one round


def groups() -> list[Group]:
    everybody = ("hardstop", "threads", *PROCESS_POOLS)
    # How a pool begins makes no difference to what its pipes carry.
    pools = ("hardstop", "std_fork", "deadpool", "loky", "mp_pool", "pebble", "billiard", *LOOPS)
    killers = ("hardstop", *KILLERS)
    by_method = tuple(f"{who}_{method}" for method in METHODS for who in ("hardstop", "std"))
    return [
        Group("flood", everybody),
        Group("round_trip", everybody),
        Group("in_a_host", ("wrapper", "hardstop_fork")),
        Group("round_trip_beside_hog", everybody, rounds=3),
        Group("map_all", ("hardstop", "threads", *EXECUTORS, "mp_pool", "pebble", "billiard")),
        Group("as_completed", ("hardstop", "threads", "std_fork")),
        Group("pickled", everybody),
        Group("loop_executor", ("hardstop", "threads", *EXECUTORS)),
        Group("loop_run", ("hardstop", *LOOPS)),
        Group("echo_bytes", pools, rounds=2, time_limit=15),
        Group("echo_numpy", pools, rounds=2, time_limit=15),
        Group("cancel", killers, rounds=3),
        Group("cancel_tree", (*killers, *ON_DASK), rounds=1),
        Group("next_job", (*killers, "hardstop_dask"), rounds=3),  # Dask's own is never free again
        Group("late_gil_held", ("hardstop", *TIMERS), rounds=2),
        Group("late_sigterm_ignored", ("hardstop", *TIMERS), rounds=2),
        Group("neighbour", ("hardstop", "deadpool", "pebble"), rounds=3, time_limit=30),
        Group("start", (*by_method, "mp_pool", "pebble", "deadpool", "loky", "billiard", *LOOPS)),
        Group("memory", (*by_method, "mp_pool"), rounds=3),
        Group("client_killed", killers, rounds=1, time_limit=30),
        Group("idle", ("hardstop", "std_fork", "mp_pool", "pebble"), rounds=1),
        Group("permits", ("hardstop", *SEMAPHORES), rounds=3),
        Group("service_throughput", (*SERVICES, *QUEUES), rounds=3, time_limit=200),
        Group("service_latency", (*SERVICES, *QUEUES), rounds=3, time_limit=200),
        Group("service_drain", ("hardstop",), rounds=3, time_limit=60),
        Group("service_recovery", ("hardstop",), rounds=1, time_limit=120),
    ]


# What a figure is counted in, and how it is shown.
RATE, TIME, SIZE, COUNT = "rate", "time", "size", "count"


@dataclass(frozen=True)
class Row:
    """One line: ours against the best of some others. ``ratio`` is how many times better we are."""

    what: str
    cell: str
    figure: str
    unit: str
    against: tuple[str, ...]
    target: str
    met: Callable[[float, float], bool]  # (our figure, ratio); a ratio that is not there is inf
    ours: str = "hardstop"
    peer_cell: str = ""  # another cell than ours, if it differs


def _times(factor: float) -> Callable[[float, float], bool]:
    return lambda _ours, ratio: ratio >= factor


def _below(limit: float) -> Callable[[float, float], bool]:
    return lambda ours, _ratio: ours <= limit


def _within(extra: float) -> Callable[[float, float], bool]:
    """At most the other's figure and so much more."""
    return lambda ours, ratio: ours <= ours * ratio + extra


THREADS = ("threads",)


def _throughput() -> list[Row]:
    return [
        Row("no-op jobs, submit all then wait", "flood", "rate", RATE, THREADS, "≥ 8x", _times(8)),
        Row("", "flood", "rate", RATE, PROCESS_POOLS, "≥ 25x", _times(25)),
        Row("`list(map)`", "map_all", "rate", RATE, THREADS, "≥ 8x", _times(8)),
        Row("", "map_all", "rate", RATE, PROCESS_POOLS, "", _times(0)),
        Row(
            "`as_completed` over 20 000",
            "as_completed",
            "rate",
            RATE,
            THREADS,
            "≥ 1.2x",
            _times(1.2),
        ),
        Row(
            "a dataclass and a dict as arguments",
            "pickled",
            "rate",
            RATE,
            THREADS,
            "≥ 2x",
            _times(2),
        ),
        Row("", "pickled", "rate", RATE, PROCESS_POOLS, "", _times(0)),
        Row(
            "asyncio, 100 tasks, `run_in_executor`",
            "loop_executor",
            "rate",
            RATE,
            THREADS,
            "≥ 1.3x",
            _times(1.3),
        ),
        Row(
            "asyncio, 100 tasks, `await pool.run`",
            "loop_run",
            "rate",
            RATE,
            THREADS,
            "≥ 6x",
            _times(6),
            peer_cell="loop_executor",
        ),
        Row("", "loop_run", "rate", RATE, LOOPS, "", _times(0)),
    ]


def _round_trips() -> list[Row]:
    return [
        Row(
            "round trip back to back, p50",
            "round_trip",
            "p50",
            TIME,
            THREADS,
            "≤ 0.5x the time",
            _times(2),
        ),
        Row(
            "round trip back to back, p99",
            "round_trip",
            "p99",
            TIME,
            PROCESS_POOLS,
            "no worse",
            _times(1),
        ),
        Row(
            "round trip, one per ms, p50",
            "round_trip",
            "paced_p50",
            TIME,
            THREADS,
            "≤ 1x the time",
            _times(1),
        ),
        Row(
            "round trip, one per ms, p99",
            "round_trip",
            "paced_p99",
            TIME,
            PROCESS_POOLS,
            "no worse",
            _times(1),
        ),
        Row(
            "round trip beside a CPU hog, p50",
            "round_trip_beside_hog",
            "p50",
            TIME,
            THREADS,
            "",
            _times(0),
        ),
        Row(
            "round trip beside a CPU hog, p99",
            "round_trip_beside_hog",
            "p99",
            TIME,
            PROCESS_POOLS,
            "no worse",
            _times(1),
        ),
    ]


def _echoes() -> list[Row]:
    targets = {"1": 8, "16": 20, "64": 30}
    rows = [
        Row(
            f"echo of {size} MB of bytes",
            "echo_bytes",
            size,
            TIME,
            PROCESS_POOLS,
            "≥ 5x",
            _times(5),
        )
        for size in targets
    ]
    return rows + [
        Row(
            f"echo of {size} MB in numpy",
            "echo_numpy",
            size,
            TIME,
            PROCESS_POOLS,
            f"≥ {factor}x",
            _times(factor),
        )
        for size, factor in targets.items()
    ]


def _kills() -> list[Row]:
    late = "≤ 2 ms"
    return [
        Row("cancel → process gone, p50", "cancel", "p50", TIME, KILLERS, "≤ 2 ms", _below(2e-3)),
        Row(
            "cancel → process and its child gone, p50",
            "cancel_tree",
            "p50",
            TIME,
            KILLERS,
            "≤ 2 ms",
            _below(2e-3),
        ),
        Row(
            "cancel → next job running, p50",
            "next_job",
            "p50",
            TIME,
            KILLERS,
            "≤ 300 µs",
            _below(300e-6),
        ),
        Row(
            "time-out, GIL held: late by, p99",
            "late_gil_held",
            "p99",
            TIME,
            TIMERS,
            late,
            _below(2e-3),
        ),
        Row(
            "time-out, SIGTERM ignored: late by, p99",
            "late_sigterm_ignored",
            "p99",
            TIME,
            TIMERS,
            late,
            _below(2e-3),
        ),
        Row(
            "a neighbour's worst round trip while jobs are killed",
            "neighbour",
            "worst",
            TIME,
            KILLERS,
            "≤ 2 ms",
            _below(2e-3),
        ),
        Row(
            "client gets SIGKILL → all gone",
            "client_killed",
            "worst",
            TIME,
            KILLERS,
            "≤ 20 ms",
            _below(20e-3),
        ),
    ]


def _in_hosts() -> list[Row]:
    return [
        Row(
            "`killable_wrapper` in a stock worker, against `submit().result()` there, p50",
            "in_a_host",
            "p50",
            TIME,
            ("hardstop_fork",),
            "≤ 1.3x the time",
            _times(1 / 1.3),
            "wrapper",
        ),
        Row(
            "on Dask: cancel → process and its child gone, p50",
            "cancel_tree",
            "p50",
            TIME,
            ("dask",),
            "≤ 20 ms",
            _below(20e-3),
            "hardstop_dask",
        ),
        Row(
            "on Dask: cancel → next job running, p50",
            "next_job",
            "p50",
            TIME,
            (),
            "",
            _times(0),
            "hardstop_dask",
        ),
    ]


def _sizes() -> list[Row]:
    rows = []
    for method in METHODS:
        ours, standard = f"hardstop_{method}", (f"std_{method}",)
        rows += [
            Row(
                f"start → first result, {method}",
                "start",
                "first",
                TIME,
                standard,
                "≤ 1x the time",
                _times(1),
                ours,
            ),
            Row(
                f"memory of an idle worker, {method}",
                "memory",
                "worker",
                SIZE,
                standard,
                "≤ 1x",
                _times(1),
                ours,
            ),
            Row(
                f"memory of the whole pool, {method}",
                "memory",
                "pool",
                SIZE,
                standard,
                "≤ + 1 worker + 4 MB",
                _within(4e6),
                ours,
            ),
        ]
    return rows


def _permits() -> list[Row]:
    shared = ("mp_semaphore",)
    lease = ("redis_lease",)
    pair = "a permit, `with semaphore`, uncontended"
    return [
        Row(f"{pair}, in the client", "permits", "client", TIME, shared, "≤ 1 µs", _below(1e-6)),
        Row("", "permits", "client", TIME, lease, "", _times(0)),
        Row(f"{pair}, in a job, 1 per ms", "permits", "job", TIME, shared, "", _times(0)),
        Row("", "permits", "job", TIME, lease, "", _times(0)),
        Row(f"{pair}, `async with`", "permits", "loop", TIME, SEMAPHORES[1:2], "", _times(0)),
        Row("a permit of a killed holder", "permits", "after_kill", TIME, shared, "", _times(0)),
        Row("", "permits", "after_kill", TIME, lease, "", _times(0)),
    ]


def _services() -> list[Row]:
    done, begun = "service_throughput", "service_latency"
    rows = []
    for ours, words in zip(SERVICES, ("", ", with a journal"), strict=True):
        what = f"a service on a durable queue{words}"
        rows += [
            Row(f"{what}: no-op jobs", done, "rate", RATE, QUEUES, "", _times(0), ours),
            Row("… enqueue() to start, p50", begun, "p50", TIME, QUEUES, "", _times(0), ours),
            Row("… p99", begun, "p99", TIME, QUEUES, "", _times(0), ours),
        ]
    return [
        *rows,
        Row("enqueue(), one after the other", done, "enqueue_rate", RATE, QUEUES, "", _times(0)),
        Row(
            "SIGTERM to exit, two jobs of 50 ms run",
            "service_drain",
            "drain",
            TIME,
            (),
            "",
            _times(0),
        ),
        Row("10⁵ journaled jobs put back", "service_recovery", "recovery", TIME, (), "", _times(0)),
    ]


def rows() -> list[Row]:
    return [
        *_throughput(),
        *_round_trips(),
        *_echoes(),
        *_kills(),
        *_in_hosts(),
        *_sizes(),
        *_permits(),
        *_services(),
        Row(
            "idle pool, context switches per second",
            "idle",
            "switches",
            COUNT,
            ("std_fork", "mp_pool", "pebble"),
            "0",
            lambda ours, _ratio: ours == 0,
        ),
        Row(
            "idle pool, CPU time in 2 s, ticks of 10 ms",
            "idle",
            "ticks",
            COUNT,
            ("std_fork", "mp_pool", "pebble"),
            "0",
            lambda ours, _ratio: ours == 0,
        ),
    ]


def better(unit: str, ours: float, other: float) -> float:
    """How many times better ours is."""
    if unit == RATE:
        return ours / other if other else math.inf
    return other / ours if ours else math.inf
