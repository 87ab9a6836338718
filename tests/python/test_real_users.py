"""Programs that use an executor and have never heard of this one."""

from __future__ import annotations

import asyncio
import concurrent.futures
import subprocess
import sys
import textwrap
import time

import pytest

import hardstop
from jobs import double, fail, say_and_sleep
from support import PATIENCE, alive, environment, said


def _square(x):
    return x * x


def _rosenbrock(x):
    return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2


def test_dask_local_scheduler(any_pool):
    dask = pytest.importorskip("dask")
    lazy = [dask.delayed(_square)(at) for at in range(10)]
    total = dask.delayed(sum)(lazy)
    assert total.compute(scheduler="processes", pool=any_pool) == sum(at * at for at in range(10))
    with dask.config.set(pool=any_pool, scheduler="processes"), pytest.raises(ValueError):
        dask.delayed(fail)("in dask").compute()


def test_dask_bag(pool):
    bag = pytest.importorskip("dask.bag")
    numbers = bag.from_sequence(range(100), npartitions=5).map(_square)
    assert numbers.sum().compute(scheduler="processes", pool=pool) == sum(n * n for n in range(100))


def test_scipy_differential_evolution(any_pool):
    optimize = pytest.importorskip("scipy.optimize")
    found = optimize.differential_evolution(
        _rosenbrock,
        [(-2, 2), (-2, 2)],
        workers=any_pool.map,
        updating="deferred",
        maxiter=5,
        popsize=4,
        seed=1,
        polish=False,
    )
    assert found.fun < 10


def test_tqdm_over_as_completed(pool):
    tqdm = pytest.importorskip("tqdm")
    futures = [pool.submit(double, at) for at in range(30)]
    bar = tqdm.tqdm(concurrent.futures.as_completed(futures), total=30, disable=True)
    assert sum(future.result() for future in bar) == sum(range(0, 60, 2))


def test_tqdm_process_map(pool):
    concurrent_tqdm = pytest.importorskip("tqdm.contrib.concurrent")
    mapped = concurrent_tqdm._executor_map

    class Executor(hardstop.ProcessPoolExecutor):
        """As tqdm makes its own: max_workers, initializer and initargs by keyword."""

    assert mapped(Executor, double, range(5), disable=True) == [0, 2, 4, 6, 8]


def test_batches_as_joblib_makes_them(any_pool):
    """joblib hands over callables that run a batch, and counts on callbacks for the next."""
    joblib = pytest.importorskip("joblib")
    from joblib.parallel import BatchedCalls, get_active_backend

    batches = [
        BatchedCalls([(_square, (at,), {}) for at in range(start, start + 5)], get_active_backend())
        for start in range(0, 20, 5)
    ]
    assert joblib
    results = [any_pool.submit(batch) for batch in batches]
    flat = [each for future in results for each in future.result(PATIENCE)]
    assert flat == [at * at for at in range(20)]


def test_starlette_disconnect_cancels_the_job(tmp_path):
    """The endpoint races its job against the disconnect, as Starlette's documentation does it."""
    pytest.importorskip("starlette")
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    path = tmp_path / "a"
    pool = hardstop.ProcessPoolExecutor(1)

    async def endpoint(request: Request) -> PlainTextResponse:
        job = asyncio.create_task(pool.run(say_and_sleep, str(path)))
        while not await request.is_disconnected():
            await asyncio.sleep(0.01)
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job
        return PlainTextResponse("stopped")

    app = Starlette(routes=[Route("/", endpoint)])

    async def main() -> None:
        sent = []

        async def receive():
            while not path.exists():
                await asyncio.sleep(0.005)
            return {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)

        scope = {
            "type": "http",
            "method": "GET",
            "path": "/",
            "headers": [],
            "query_string": b"",
            "http_version": "1.1",
        }
        await asyncio.wait_for(app(scope, receive, send), PATIENCE)
        assert sent[0]["status"] == 200

    asyncio.run(main())
    assert not alive(int(said(path)))
    pool.shutdown()


def test_multiprocessing_users_next_door(pool):
    """Both may be used at once."""
    import multiprocessing

    with multiprocessing.get_context("fork").Pool(2) as other:
        assert pool.submit(double, 2).result() == 4
        assert other.map(double, [1, 2]) == [2, 4]
        assert list(pool.map(double, [1, 2])) == [2, 4]


def test_pytest_xdist(tmp_path):
    pytest.importorskip("xdist")
    (tmp_path / "test_inner.py").write_text(
        textwrap.dedent(
            """
            import os, pytest, time, hardstop
            @pytest.mark.parametrize("at", range(6))
            def test_it(at):
                with hardstop.ProcessPoolExecutor(1) as pool:
                    assert pool.submit(pow, at, 2).result() == at * at
                    f = pool.submit(time.sleep, 600)
                    while not f.running(): pass
                    f.cancel()
                    with pytest.raises(hardstop.ProcessCancelledError):
                        f.result()
            """
        )
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment("xdist"),
        timeout=4 * PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 passed" in done.stdout


def test_executor_typed_by_others(pool):
    """Code that asks for a concurrent.futures.Executor gets one."""

    def user(executor: concurrent.futures.Executor) -> list[int]:
        with executor:
            return list(executor.map(double, [1, 2], timeout=PATIENCE))

    assert user(pool) == [2, 4]
    started = time.monotonic()
    assert started
