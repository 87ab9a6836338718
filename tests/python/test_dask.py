"""Jobs that really stop on a Dask cluster: a real scheduler, real workers in processes."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed", reason="Dask is not installed: pip install 'hardstop[dask]'")

from distributed import Client, LocalCluster

import hardstop
from hardstop import (
    CancelToken,
    ProcessCancelledError,
    ProcessCancelTimeout,
    ProcessTimeout,
    ProcessTimeoutError,
    WorkerDiedError,
)
from hardstop.integrations.dask import ClusterExecutor
from jobs import daemonize, die, double, fail, say, say_and_sleep, stop_when_asked
from support import PATIENCE, alive, gone, running, said, script, until


@contextlib.contextmanager
def cluster(workers: int = 2, **options: Any) -> Iterator[Client]:
    with (
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address=":0",
            **options,
        ) as made,
        Client(made) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with cluster() as client:
        with ClusterExecutor(client) as warm:
            list(warm.map(double, range(8)))
        yield client


@pytest.fixture
def pool(client: Client) -> Iterator[ClusterExecutor]:
    made = ClusterExecutor(client)
    yield made
    made.shutdown(cancel_futures=True, timeout=0)


def occupy(pool: ClusterExecutor, folder: Path, workers: int = 2) -> list[Any]:
    """Takes every slot of the cluster."""
    paths = [folder / f"occupies-{number}" for number in range(workers)]
    holders = [pool.submit(say_and_sleep, str(path)) for path in paths]
    for path in paths:
        said(path)
    return holders


def note_attempt(path: str) -> int:
    with open(path, "a") as file:
        file.write(f"{hardstop.current_job().attempt} {os.getpid()}\n")
    return hardstop.current_job().attempt


def die_once(path: str) -> int:
    if note_attempt(path) == 1:
        die()
    return hardstop.current_job().attempt


def hang_once(path: str) -> int:
    if note_attempt(path) == 1:
        time.sleep(600)
    return hardstop.current_job().attempt


def large(size: int) -> bytes:
    return bytes(size)


def length(value: Any) -> int:
    return len(value)


# --- ends of all kinds


def test_it_is_an_executor(pool: ClusterExecutor) -> None:
    assert isinstance(pool, concurrent.futures.Executor)
    job = pool.submit(double, 21)
    assert isinstance(job, hardstop.Future)
    assert job.result(PATIENCE) == 42
    assert job.outcome is not None and job.outcome.kind == "value"
    assert list(pool.map(double, range(6), chunksize=2)) == [0, 2, 4, 6, 8, 10]
    assert {each.result() for each in concurrent.futures.as_completed([job])} == {42}


def test_ends_are_those_of_a_local_pool(pool: ClusterExecutor) -> None:  # G1
    with pytest.raises(ValueError, match="no") as caught:
        pool.submit(fail).result(PATIENCE)
    assert "in fail" in str(caught.value.__cause__)
    with pytest.raises(WorkerDiedError, match="SIGSEGV|Segmentation") as died:
        pool.submit(die, signal.SIGSEGV).result(PATIENCE)
    assert died.value.outcome is not None and died.value.outcome.signal == signal.SIGSEGV
    assert len(pool.submit(large, 20 << 20).result(PATIENCE)) == 20 << 20
    with pytest.raises(TypeError, match="pickle|serialize"):
        pool.submit(double, (each for each in "")).result(PATIENCE)


def test_time_limits(pool: ClusterExecutor, tmp_path: Path) -> None:  # G2
    job = pool.options(timeout=1.0, name="late").submit(daemonize, str(tmp_path / "pid"))
    with pytest.raises(ProcessTimeoutError, match="late") as caught:
        job.result(PATIENCE)
    assert caught.value.outcome is not None and caught.value.outcome.kind == "timed out"
    assert not alive(int(said(tmp_path / "pid")))
    with pytest.raises(ProcessTimeoutError):
        pool.submit(time.sleep, 600.0, ProcessTimeout(0.05)).result(PATIENCE)


# --- cancel


def test_a_cancelled_jobs_tree_is_gone_and_its_slot_free(  # G2
    pool: ClusterExecutor, tmp_path: Path
) -> None:
    job = pool.submit(daemonize, str(tmp_path / "pid"))
    daemon = int(said(tmp_path / "pid"))
    running(job)
    after = pool.options(workers=[job.worker]).submit(double, 4)  # which has one slot
    assert job.cancel()
    with pytest.raises(ProcessCancelledError):
        job.result(PATIENCE)
    assert not alive(daemon)
    assert job.cancelled() and job.outcome is not None and job.outcome.cancel == "killed"
    assert after.result(PATIENCE) == 8


def test_what_was_cancelled_before_its_start_never_starts(  # G3
    pool: ClusterExecutor, tmp_path: Path
) -> None:
    occupy(pool, tmp_path)
    jobs = [pool.submit(say_and_sleep, str(tmp_path / str(number))) for number in range(6)]
    for job in reversed(jobs):
        assert job.cancel()
    for job in jobs:
        with pytest.raises(ProcessCancelledError, match="before it started"):
            job.result(PATIENCE)
        assert job.outcome is not None and not job.outcome.started
    assert not list(tmp_path.glob("[0-9]"))


def test_a_cancel_that_overtakes_its_job(pool: ClusterExecutor, tmp_path: Path) -> None:  # G3
    for number in range(30):
        job = pool.submit(say_and_sleep, str(tmp_path / str(number)))
        job.cancel()
        with pytest.raises(ProcessCancelledError):
            job.result(PATIENCE)
        assert job.outcome is not None
        if not job.outcome.started:
            assert not (tmp_path / str(number)).exists()


class SlowToSend:
    """A value whose transfer to another worker takes until a file is there."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        folder = Path(self.folder)
        say(str(folder / "sending"))
        until((folder / "send").exists)
        return SlowToSend, (self.folder,)


def test_cancelled_during_the_transfer_of_its_argument(
    client: Client, pool: ClusterExecutor, tmp_path: Path
) -> None:
    here, there = client.scheduler_info()["workers"]
    value = client.submit(SlowToSend, str(tmp_path), workers=[here], pure=False)
    job = pool.options(workers=[there]).submit(say_and_sleep, str(tmp_path / "begun"), value)
    try:
        said(tmp_path / "sending")
        assert job.cancel()
        with pytest.raises(ProcessCancelledError, match="before it started"):
            job.result(PATIENCE)
    finally:
        (tmp_path / "send").touch()
    assert pool.options(workers=[there]).submit(double, 3).result(PATIENCE) == 6
    assert not (tmp_path / "begun").exists()


def test_a_job_that_finishes_in_its_grace_has_its_result(
    pool: ClusterExecutor, tmp_path: Path
) -> None:
    job = pool.submit(
        stop_when_asked, str(tmp_path / "begun"), "by itself", ProcessCancelTimeout(60)
    )
    said(tmp_path / "begun")
    assert job.cancel()
    assert job.result(PATIENCE) == "by itself"
    assert not job.cancel()
    asked = pool.submit(stop_when_asked, str(tmp_path / "asked"))
    said(tmp_path / "asked")
    asked.ask()
    assert asked.result(PATIENCE) == "stopped"


def cancel_at_the_finish_line(pool: ClusterExecutor, rounds: int) -> tuple[int, int]:
    dice = random.Random(4)
    finished = cancelled = 0
    for number in range(rounds):
        job, neighbour = pool.submit(double, number), pool.submit(double, -number)
        time.sleep(dice.random() * 0.02)  # anywhere between submission and end
        job.cancel()
        assert neighbour.result(PATIENCE) == -2 * number
        try:
            assert job.result(PATIENCE) == 2 * number
            finished += 1
        except ProcessCancelledError:
            cancelled += 1
        assert job.outcome is not None
    return finished, cancelled


def test_cancel_at_the_finish_line_hurts_nobody_else(pool: ClusterExecutor) -> None:  # G1, G3
    assert sum(cancel_at_the_finish_line(pool, 60)) == 60


@pytest.mark.slow
def test_many_cancels_at_the_finish_line(pool: ClusterExecutor) -> None:  # G1, G3
    assert all(cancel_at_the_finish_line(pool, 3000))


def test_a_token_cancels_them_all(pool: ClusterExecutor, tmp_path: Path) -> None:
    token = CancelToken()
    view = pool.options(cancel_on=token)
    jobs = [view.submit(say_and_sleep, str(tmp_path / str(number))) for number in range(3)]
    said(tmp_path / "0")
    token.cancel()
    jobs.append(view.submit(say_and_sleep, str(tmp_path / "late")))
    for job in jobs:
        with pytest.raises(ProcessCancelledError):
            job.result(PATIENCE)
    until(lambda: not pool._tokens, "the token to be forgotten")


def test_somebody_cancels_dasks_own_future(
    client: Client, pool: ClusterExecutor, tmp_path: Path
) -> None:
    job = pool.submit(say_and_sleep, str(tmp_path / "pid"))
    pid = int(said(tmp_path / "pid"))
    from distributed import Future as DaskFuture

    client.cancel([DaskFuture(job.key, client)], force=True)
    with pytest.raises(ProcessCancelledError, match="Dask"):
        job.result(PATIENCE)
    gone(pid)


# --- event loops


def test_under_asyncio(pool: ClusterExecutor, tmp_path: Path) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert await loop.run_in_executor(pool, double, 4) == 8
        with pytest.raises(asyncio.TimeoutError):
            work = loop.run_in_executor(pool, say_and_sleep, str(tmp_path / "one"))
            await asyncio.wait_for(work, 2)
        await asyncio.to_thread(gone, int(said(tmp_path / "one")))
        task = asyncio.create_task(pool.run(say_and_sleep, str(tmp_path / "two"), grace=0.0))
        pid = int(await asyncio.to_thread(said, tmp_path / "two"))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not alive(pid)  # not soon, but by now
        assert [each async for each in pool.amap(double, [1, 2])] == [2, 4]

    asyncio.run(main())


# --- what is Dask's


def test_names_priorities_and_resources_are_dasks(
    client: Client, pool: ClusterExecutor, tmp_path: Path
) -> None:
    holder, _other = occupy(pool, tmp_path)
    running(holder)
    there = pool.options(workers=[holder.worker])
    low = there.options(priority=-1).submit(note_order, str(tmp_path / "order"), "low")
    high = there.options(priority=5, name="urgent").submit(
        note_order, str(tmp_path / "order"), "high"
    )
    assert high.key.startswith("urgent-")
    never = pool.options(resources={"quantum": 1}).submit(double, 1)
    holder.cancel()
    concurrent.futures.wait([high, low], PATIENCE)
    assert (tmp_path / "order").read_text().split() == ["high", "low"]
    assert not never.done()
    never.cancel()
    with pytest.raises(ProcessCancelledError, match="before it started"):
        never.result(PATIENCE)


def note_order(path: str, what: str) -> None:
    with open(path, "a") as file:
        file.write(f"{what}\n")


def test_futures_of_dask_are_arguments(client: Client, pool: ClusterExecutor) -> None:
    value = client.submit(large, 1000, pure=False)
    assert pool.submit(length, value).result(PATIENCE) == 1000


def test_retries_are_for_jobs_whose_process_died(pool: ClusterExecutor, tmp_path: Path) -> None:
    again = pool.options(retries=1)
    assert again.submit(die_once, str(tmp_path / "died")).result(PATIENCE) == 2
    with pytest.raises(WorkerDiedError):
        again.submit(die).result(PATIENCE)
    for wrong in (fail, say_and_sleep):
        path = tmp_path / wrong.__name__
        job = again.options(timeout=0.5).submit(_note_and, wrong, str(path))
        with pytest.raises((ValueError, ProcessTimeoutError)):
            job.result(PATIENCE)
        assert len(path.read_text().splitlines()) == 1


def _note_and(fn: Callable[[str], Any], path: str) -> None:
    note_attempt(path)
    fn(f"{path}.said")


# --- shutdown


def test_shutdown_with_a_time_limit(client: Client, tmp_path: Path) -> None:
    pool = ClusterExecutor(client)
    holders = occupy(pool, tmp_path)
    waiting = pool.submit(double, 1)
    pool.shutdown(timeout=0.1)
    for holder in holders:
        assert isinstance(holder.exception(), ProcessCancelledError)
        assert holder.outcome is not None and holder.outcome.by_shutdown
        assert not holder.cancelled()
    assert waiting.cancelled()
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(double, 1)
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.options(name="view").submit(double, 1)


def test_callbacks_may_wait_for_other_jobs(pool: ClusterExecutor) -> None:
    found: list[int] = []
    pool.submit(double, 1).add_done_callback(
        lambda _job: found.append(pool.submit(double, 2).result(PATIENCE))
    )
    until(lambda: found == [4], "the callback")


# --- machines that are lost


def test_a_lost_worker_is_retried_and_a_killed_attempt_is_not(tmp_path: Path) -> None:
    with cluster() as client, ClusterExecutor(client) as pool:
        job = pool.submit(hang_once, str(tmp_path / "attempts"))
        first = _line(tmp_path / "attempts")
        os.kill(_parent_of(first), signal.SIGKILL)
        assert job.result(PATIENCE) == 2
        gone(first)
        assert job.outcome is not None and job.outcome.attempt == 2

        polite = pool.options(grace=600).submit(_ignore_cancel, str(tmp_path / "killed"))
        running(polite)
        second = _line(tmp_path / "killed")
        polite.cancel()
        said(tmp_path / "killed.asked")
        os.kill(_parent_of(second), signal.SIGKILL)  # a lost worker, of a job that is to end
        with pytest.raises(ProcessCancelledError, match="was lost"):
            polite.result(PATIENCE)
        assert polite.outcome is not None and polite.outcome.started
        gone(second)
        until(lambda: len(client.scheduler_info()["workers"]) == 2, "the worker to be replaced")
        assert list(pool.map(double, range(4))) == [0, 2, 4, 6]
        assert len((tmp_path / "killed").read_text().splitlines()) == 1


def test_a_job_that_loses_every_worker(tmp_path: Path) -> None:
    """Dask gives it up, and says so."""
    import dask

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        cluster(1) as client,
        ClusterExecutor(client) as pool,
    ):
        job = pool.submit(hang_once, str(tmp_path / "attempts"))
        pid = _line(tmp_path / "attempts")
        os.kill(_parent_of(pid), signal.SIGKILL)
        with pytest.raises(WorkerDiedError, match="hang_once.*lost"):
            job.result(PATIENCE)
        gone(pid)
        assert job.outcome is not None and job.outcome.kind == "worker died"
        assert pool.submit(double, 4).result(PATIENCE) == 8


def test_a_worker_that_is_retired_gives_its_job_to_another(tmp_path: Path) -> None:
    with cluster() as client, ClusterExecutor(client) as pool:
        job = pool.submit(hang_once, str(tmp_path / "attempts"))
        pid = _line(tmp_path / "attempts")
        running(job)
        client.retire_workers([job.worker])
        assert job.result(PATIENCE) == 2
        gone(pid)


def _ignore_cancel(path: str) -> None:
    note_attempt(path)
    until(lambda: hardstop.current_job().cancel_requested)
    say(f"{path}.asked")
    time.sleep(600)


def _line(path: Path) -> int:
    text = until(lambda: path.exists() and path.read_text().endswith("\n") and path.read_text())
    return int(text.split()[-1])


def _parent_of(pid: int) -> int:
    """The client of the pool in which it is a worker: the Dask worker."""
    from support import _pidfds_of, processes, status_of

    guardian = int(status_of(pid)["PPid"])
    warden = int(status_of(guardian)["PPid"])
    found = [
        each
        for each in _pidfds_of(warden)
        if each in processes() and "hardstop" not in status_of(each).get("Name", "hardstop")
    ]
    assert len(found) == 1, found
    return found[0]


CLIENT_THAT_IS_KILLED = """
import sys, time
from distributed import Client
from hardstop.integrations.dask import ClusterExecutor
from jobs import say_and_sleep

if __name__ == "__main__":
    pool = ClusterExecutor(Client(sys.argv[1]))
    job = pool.submit(say_and_sleep, sys.argv[2])
    print("submitted")
    job.result()
"""


def test_the_jobs_of_a_killed_client_stop(client: Client, tmp_path: Path) -> None:  # G5
    address = client.scheduler.address
    with script(CLIENT_THAT_IS_KILLED, tmp_path, address, str(tmp_path / "pid")) as other:
        assert other.line() == "submitted"
        pid = int(said(tmp_path / "pid"))
        other.process.kill()
        gone(pid)


# --- what is refused


def test_wrong_use_is_told(client: Client, pool: ClusterExecutor) -> None:
    with pytest.raises(TypeError, match="distributed.Client"):
        ClusterExecutor("tcp://somewhere")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="quick"):
        pool.options(quick=True)
    with pytest.raises(ValueError, match="timeout=-1"):
        pool.options(timeout=-1)
    with pytest.raises(RuntimeError, match="progress"):
        pool.submit(double, 1).progress  # noqa: B018
    with pytest.raises(TypeError, match="pickled"):
        __import__("pickle").dumps(pool)


def test_an_asynchronous_client_is_refused(client: Client) -> None:
    async def main() -> None:
        async with Client(client.scheduler.address, asynchronous=True) as other:
            with pytest.raises(TypeError, match="asynchronous"):
                ClusterExecutor(other)

    asyncio.run(main())


def test_a_client_that_is_closed(client: Client, tmp_path: Path) -> None:
    other = Client(client.scheduler.address)
    pool = ClusterExecutor(other)
    job = pool.submit(say_and_sleep, str(tmp_path / "pid"))
    pid = int(said(tmp_path / "pid"))
    other.close()
    with pytest.raises(WorkerDiedError, match="client"):
        job.result(PATIENCE)
    gone(pid)
    with pytest.raises(RuntimeError, match="closed"):
        pool.submit(double, 1)
    pool.shutdown()
