"""Everybody who runs jobs, behind one face.

A contestant is made by name in a process of its own. What it cannot do, it refuses with
:class:`Cannot`; the table says so.
"""

# ruff: noqa: ARG002 - what a contestant cannot do takes arguments all the same

from __future__ import annotations

import asyncio
import contextlib
import importlib
import importlib.util
import multiprocessing
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent import futures
from functools import partial
from typing import Any

WORKERS = 2


class Cannot(Exception):
    """This contestant has no such thing."""


class Contestant:
    """Two workers, and what the benchmark asks of them. Times are in seconds."""

    def many(self, fn: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> None:
        """Submits all, then waits for all."""
        raise Cannot

    def one(self, fn: Callable[..., Any], *args: Any) -> Any:
        """Submits one and waits for its result."""
        raise Cannot

    def trips(
        self, fn: Callable[..., Any], args: tuple[Any, ...], n: int, pause: float
    ) -> list[float]:
        """How long each of so many round trips took, begun ``pause`` seconds apart."""
        took = []
        for _ in range(n):
            begin = time.perf_counter()
            self.one(fn, *args)
            end = time.perf_counter()
            took.append(end - begin)
            if pause:
                time.sleep(max(0.0, begin + pause - time.perf_counter()))
        return took

    def map(self, fn: Callable[..., Any], items: Iterable[Any]) -> list[Any]:
        raise Cannot

    def as_completed(self, fn: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> None:
        raise Cannot

    def loop_rate(self, fn: Callable[..., Any], tasks: int, rounds: int, way: str) -> float:
        """Jobs per second of so many tasks of an event loop, each awaiting one after the other."""
        raise Cannot

    def start(self, fn: Callable[..., Any], *args: Any, timeout: float | None = None) -> Any:
        """A handle for stop(). ``timeout``: the job's time limit in seconds."""
        raise Cannot

    def stop(self, handle: Any) -> None:
        """Kills what runs, if it can be killed by itself; returns at once if it can."""
        raise Cannot

    def result(self, handle: Any) -> Any:
        """The result of what start() returned, raised if it was an exception."""
        return handle.result()

    def settle(self, handle: Any) -> None:
        """Waits until it knows that a job was killed; a second at most."""
        with contextlib.suppress(BaseException):
            handle.result(timeout=1)

    def close(self) -> None:
        """The end, orderly."""


async def _drive_loop(await_one: Callable[[], Any], tasks: int, rounds: int) -> float:
    async def task() -> None:
        for _ in range(rounds):
            await await_one()

    await asyncio.gather(*(task() for _ in range(tasks)))  # warm
    begin = time.perf_counter()
    await asyncio.gather(*(task() for _ in range(tasks)))
    return tasks * rounds / (time.perf_counter() - begin)


class _Futures(Contestant):
    """Whatever has the interface of concurrent.futures."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool

    def many(self, fn: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> None:
        submit = self.pool.submit
        for future in [submit(fn, *args) for args in calls]:
            future.result()

    def one(self, fn: Callable[..., Any], *args: Any) -> Any:
        return self.pool.submit(fn, *args).result()

    def map(self, fn: Callable[..., Any], items: Iterable[Any]) -> list[Any]:
        return list(self.pool.map(fn, items))

    def as_completed(self, fn: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> None:
        submit = self.pool.submit
        for future in futures.as_completed([submit(fn, *args) for args in calls]):
            future.result()

    def loop_rate(self, fn: Callable[..., Any], tasks: int, rounds: int, way: str) -> float:
        async def run() -> float:
            loop = asyncio.get_running_loop()
            if way == "run":
                if not hasattr(self.pool, "run"):
                    raise Cannot
                return await _drive_loop(partial(self.pool.run, fn), tasks, rounds)
            return await _drive_loop(partial(loop.run_in_executor, self.pool, fn), tasks, rounds)

        return asyncio.run(run())

    def start(self, fn: Callable[..., Any], *args: Any, timeout: float | None = None) -> Any:
        if timeout is not None:
            raise Cannot
        return self.pool.submit(fn, *args)

    def close(self) -> None:
        self.pool.shutdown()


class _Hardstop(_Futures):
    def __init__(self, method: str) -> None:
        import hardstop

        context = multiprocessing.get_context(method)
        super().__init__(hardstop.ProcessPoolExecutor(WORKERS, mp_context=context))

    def start(self, fn: Callable[..., Any], *args: Any, timeout: float | None = None) -> Any:
        return self.pool.options(timeout=timeout).submit(fn, *args)

    def stop(self, handle: Any) -> None:
        handle.cancel()


class _Deadpool(_Futures):
    def __init__(self) -> None:
        from deadpool import Deadpool

        super().__init__(Deadpool(max_workers=WORKERS))

    def start(self, fn: Callable[..., Any], *args: Any, timeout: float | None = None) -> Any:
        return self.pool.submit(fn, *args, deadpool_timeout=timeout)

    def stop(self, handle: Any) -> None:
        handle.cancel_and_kill_if_running()


class _Pebble(Contestant):
    def __init__(self) -> None:
        from pebble import ProcessPool

        self.pool = ProcessPool(max_workers=WORKERS)

    def many(self, fn: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> None:
        for future in [self.pool.schedule(fn, args=args) for args in calls]:
            future.result()

    def one(self, fn: Callable[..., Any], *args: Any) -> Any:
        return self.pool.schedule(fn, args=args).result()

    def map(self, fn: Callable[..., Any], items: Iterable[Any]) -> list[Any]:
        return list(self.pool.map(fn, items).result())

    def as_completed(self, fn: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> None:
        for future in futures.as_completed([self.pool.schedule(fn, args=args) for args in calls]):
            future.result()

    def start(self, fn: Callable[..., Any], *args: Any, timeout: float | None = None) -> Any:
        return self.pool.schedule(fn, args=args, timeout=timeout)

    def stop(self, handle: Any) -> None:
        handle.cancel()

    def close(self) -> None:
        self.pool.close()
        self.pool.join()


class _Pool(Contestant):
    """multiprocessing.Pool and its fork."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool

    def many(self, fn: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> None:
        for result in [self.pool.apply_async(fn, args) for args in calls]:
            result.get()

    def one(self, fn: Callable[..., Any], *args: Any) -> Any:
        return self.pool.apply_async(fn, args).get()

    def map(self, fn: Callable[..., Any], items: Iterable[Any]) -> list[Any]:
        return list(self.pool.imap(fn, items))

    def start(self, fn: Callable[..., Any], *args: Any, timeout: float | None = None) -> Any:
        if timeout is not None:
            raise Cannot
        return self.pool.apply_async(fn, args)

    def result(self, handle: Any) -> Any:
        return handle.get()

    def settle(self, handle: Any) -> None:
        with contextlib.suppress(BaseException):
            handle.get(1)

    def close(self) -> None:
        self.pool.close()
        self.pool.join()


class _Billiard(_Pool):
    def __init__(self) -> None:
        import billiard

        super().__init__(billiard.Pool(WORKERS))

    def start(self, fn: Callable[..., Any], *args: Any, timeout: float | None = None) -> Any:
        return self.pool.apply_async(fn, args, timeout=timeout)

    def stop(self, handle: Any) -> None:
        import signal

        handle.terminate(signal.SIGKILL)


class _Loop(Contestant):
    """A pool of an event loop: its jobs are awaited."""

    def many(self, fn: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> None:
        self.in_loop(partial(self._many, fn, calls))

    def trips(
        self, fn: Callable[..., Any], args: tuple[Any, ...], n: int, pause: float
    ) -> list[float]:
        return self.in_loop(partial(self._trips, fn, args, n, pause))  # type: ignore[no-any-return]

    def one(self, fn: Callable[..., Any], *args: Any) -> Any:
        return self.in_loop(partial(self.job, fn, args))

    def loop_rate(self, fn: Callable[..., Any], tasks: int, rounds: int, way: str) -> float:
        if way != "run":
            raise Cannot
        return self.in_loop(partial(self._loop_rate, fn, tasks, rounds))  # type: ignore[no-any-return]

    async def _all(self, task: Callable[..., Any], inputs: Iterable[tuple[Any, ...]]) -> None:
        async with self.group() as group:
            for each in inputs:
                group.start_soon(task, *each)

    async def _many(self, fn: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> None:
        await self._all(self.job, ((fn, args) for args in calls))

    async def _loop_rate(self, fn: Callable[..., Any], tasks: int, rounds: int) -> float:
        async def task() -> None:
            for _ in range(rounds):
                await self.job(fn, ())

        await self._all(task, (() for _ in range(WORKERS)))
        begin = time.perf_counter()
        await self._all(task, (() for _ in range(tasks)))
        return tasks * rounds / (time.perf_counter() - begin)

    async def _trips(
        self, fn: Callable[..., Any], args: tuple[Any, ...], n: int, pause: float
    ) -> list[float]:
        took = []
        await self.job(fn, args)
        for _ in range(n):
            begin = time.perf_counter()
            await self.job(fn, args)
            took.append(time.perf_counter() - begin)
            if pause:
                await self.sleep(max(0.0, begin + pause - time.perf_counter()))
        return took

    # What is killed runs in a loop in a thread of its own.

    backend = "asyncio"
    _portal: Any = None

    def start(self, fn: Callable[..., Any], *args: Any, timeout: float | None = None) -> Any:
        from anyio.from_thread import start_blocking_portal

        if self._portal is None:
            self._opened = start_blocking_portal(self.backend)
            self._portal = self._opened.__enter__()
            self._portal.call(self._limit)
        return self._portal.start_task_soon(self._limited, fn, args, timeout)

    async def _limited(
        self, fn: Callable[..., Any], args: tuple[Any, ...], timeout: float | None
    ) -> Any:
        import anyio

        with anyio.fail_after(timeout):
            return await self.job(fn, args)

    def stop(self, handle: Any) -> None:
        handle.cancel()

    def close(self) -> None:
        if self._portal is not None:
            self._opened.__exit__(None, None, None)

    async def _limit(self) -> None:
        raise NotImplementedError

    def in_loop(self, what: Callable[[], Any]) -> Any:
        raise NotImplementedError

    async def job(self, fn: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        raise NotImplementedError

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError

    def group(self) -> Any:
        raise NotImplementedError


class _Anyio(_Loop):
    async def _limit(self) -> None:
        import anyio

        self.limiter = anyio.CapacityLimiter(WORKERS)

    def in_loop(self, what: Callable[[], Any]) -> Any:
        import anyio

        async def main() -> Any:
            await self._limit()
            return await what()

        return anyio.run(main)

    async def job(self, fn: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        from anyio import to_process

        return await to_process.run_sync(fn, *args, cancellable=True, limiter=self.limiter)

    async def sleep(self, seconds: float) -> None:
        import anyio

        await anyio.sleep(seconds)

    def group(self) -> Any:
        import anyio

        return anyio.create_task_group()


class _Trio(_Loop):
    backend = "trio"

    async def _limit(self) -> None:
        import trio

        self.limiter = trio.CapacityLimiter(WORKERS)

    def in_loop(self, what: Callable[[], Any]) -> Any:
        import trio

        async def main() -> Any:
            await self._limit()
            return await what()

        return trio.run(main)

    async def job(self, fn: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        import trio_parallel

        return await trio_parallel.run_sync(fn, *args, kill_on_cancel=True, limiter=self.limiter)

    async def sleep(self, seconds: float) -> None:
        import trio

        await trio.sleep(seconds)

    def group(self) -> Any:
        import trio

        return trio.open_nursery()


class _Dask(_Futures):
    """A cluster on this machine. Its cancel() forgets the task, which runs on."""

    def __init__(self) -> None:
        from distributed import Client, LocalCluster

        self._cluster = LocalCluster(
            n_workers=WORKERS, threads_per_worker=1, dashboard_address=":0"
        )
        self.client = Client(self._cluster)
        super().__init__(self.client.get_executor(pure=False))

    def stop(self, handle: Any) -> None:
        handle.cancel()

    def close(self) -> None:
        self.client.close()
        self._cluster.close()


class _HardstopOnDask(_Dask):
    def __init__(self) -> None:
        from hardstop.integrations.dask import ClusterExecutor

        super().__init__()
        self.pool = ClusterExecutor(self.client)


def _no_pool() -> Contestant:
    raise Cannot


def _standard(method: str) -> Contestant:
    context = multiprocessing.get_context(method)
    return _Futures(futures.ProcessPoolExecutor(WORKERS, mp_context=context))


def _loky() -> Contestant:
    import loky

    return _Futures(loky.ProcessPoolExecutor(WORKERS))


def _only_a_semaphore() -> Contestant:
    raise Cannot("runs no jobs")


def _only_a_service() -> Contestant:
    raise Cannot("a queue and its workers, not an executor")


# What has to be installed, and how it is made.
_KNOWN: dict[str, tuple[str | None, str, Callable[[], Contestant]]] = {
    "hardstop": ("hardstop", "hardstop", lambda: _Hardstop(multiprocessing.get_start_method())),
    "hardstop_fork": ("hardstop", "hardstop, fork", lambda: _Hardstop("fork")),
    "hardstop_forkserver": ("hardstop", "hardstop, forkserver", lambda: _Hardstop("forkserver")),
    "hardstop_spawn": ("hardstop", "hardstop, spawn", lambda: _Hardstop("spawn")),
    "wrapper": ("hardstop", "killable_wrapper", _no_pool),
    "hardstop_dask": ("distributed", "hardstop on Dask", _HardstopOnDask),
    "dask": ("distributed", "Dask", _Dask),
    "threads": (None, "ThreadPoolExecutor", lambda: _Futures(futures.ThreadPoolExecutor(WORKERS))),
    "std_fork": (None, "ProcessPoolExecutor, fork", lambda: _standard("fork")),
    "std_forkserver": (None, "ProcessPoolExecutor, forkserver", lambda: _standard("forkserver")),
    "std_spawn": (None, "ProcessPoolExecutor, spawn", lambda: _standard("spawn")),
    "mp_semaphore": (None, "multiprocessing.Semaphore", _only_a_semaphore),
    "asyncio_semaphore": (None, "asyncio.Semaphore", _only_a_semaphore),
    "redis_lease": (None, "a lease in Redis", _only_a_semaphore),
    "hardstop_journal": ("hardstop", "hardstop, with a journal", _only_a_service),
    "celery": ("celery", "Celery on Redis", _only_a_service),
    "rq": ("rq", "RQ on Redis", _only_a_service),
    "huey": ("huey", "huey on SQLite", _only_a_service),
    "mp_pool": (None, "multiprocessing.Pool", lambda: _Pool(multiprocessing.Pool(WORKERS))),
    "pebble": ("pebble", "pebble", _Pebble),
    "deadpool": ("deadpool", "deadpool", _Deadpool),
    "loky": ("loky", "loky", _loky),
    "billiard": ("billiard", "billiard", _Billiard),
    "anyio": ("anyio", "anyio", _Anyio),
    "trio_parallel": ("trio_parallel", "trio-parallel", _Trio),
}


def installed(name: str) -> bool:
    package = _KNOWN[name][0]
    return package is None or importlib.util.find_spec(package) is not None


def title(name: str) -> str:
    """What a table calls it."""
    return _KNOWN[name][1]


def load(name: str) -> None:
    """Imports what it needs, which is not part of its start."""
    package = _KNOWN[name][0]
    importlib.import_module(package if package is not None else "concurrent.futures.process")
    if name == "anyio":
        importlib.import_module("anyio.to_process")
        importlib.import_module("anyio._backends._asyncio")


def make(name: str) -> Contestant:
    return _KNOWN[name][2]()
