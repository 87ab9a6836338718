"""What CPython's own suite (conformance/) does not ask, and users of the standard executor need."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import signal
import time
import weakref
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import pytest

import hardstop
from hardstop import ProcessCancelledError, UnreadableError, WorkerDiedError
from support import PATIENCE, until


class RefusesToBePickled:
    def __reduce__(self) -> Any:
        raise ValueError("not me")


class RefusesToBeRead:
    """Raises, or leaves, wherever it is unpickled."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __reduce__(self) -> Any:
        return _raise, (self.error,)


def _raise(error: BaseException) -> None:
    raise error


def _make_unreadable(error: BaseException) -> RefusesToBeRead:
    return RefusesToBeRead(error)


def test_what_cannot_be_pickled_fails_its_future_in_its_turn(pool):
    before = pool.submit(abs, -1)
    refused = pool.submit(abs, RefusesToBePickled())
    after = pool.submit(abs, -2)
    error = refused.exception(PATIENCE)
    assert type(error) is ValueError
    assert str(error) == "not me"
    assert "__reduce__" in str(error.__cause__), "the traceback of where it was pickled"
    assert refused.outcome.kind == "exception"
    assert (before.result(PATIENCE), after.result(PATIENCE)) == (1, 2)


def test_what_cannot_be_pickled_can_be_cancelled_before_its_turn(make_pool):
    pool = make_pool(1)
    running = pool.submit(time.sleep, 60)
    until(running.running)
    refused = pool.submit(abs, RefusesToBePickled())
    assert refused.cancel()
    with pytest.raises(ProcessCancelledError):
        refused.result(0)


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3)], ids=["raises", "exits"])
def test_what_cannot_be_read_fails_alone(any_pool, error):
    unread_call = any_pool.submit(abs, RefusesToBeRead(error))
    unread_result = any_pool.submit(_make_unreadable, error)
    for future in (unread_call, unread_result):
        raised = future.exception(PATIENCE)
        assert isinstance(raised, UnreadableError)
        assert isinstance(raised, BrokenProcessPool), "what the standard library raises"
        assert type(error).__name__ in str(raised)
        assert raised.__cause__ is not None
    assert any_pool.submit(abs, -1).result(PATIENCE) == 1


def test_a_function_that_workers_do_not_find(make_pool, tmp_path, monkeypatch):
    (tmp_path / "only_here.py").write_text("def work(): return 1\n")
    pool = make_pool(1, "spawn")
    pool.submit(abs, -1).result(PATIENCE)
    monkeypatch.syspath_prepend(tmp_path)
    import only_here

    error = pool.submit(only_here.work).exception(PATIENCE)
    assert isinstance(error, UnreadableError)
    assert "only_here" in str(error)
    assert pool.submit(abs, -1).result(PATIENCE) == 1


def test_pickling_errors_of_the_standard_kind(pool):
    error = pool.submit(abs, _Picky()).exception(PATIENCE)
    assert isinstance(error, pickle.PicklingError)


class _Picky:
    def __reduce__(self) -> Any:
        raise pickle.PicklingError("no")


def test_workers_can_be_looked_at(any_pool, method):
    assert any_pool._processes == {}, "none before the first submit"
    job = any_pool.submit(os.getpid)
    pid = job.result(PATIENCE)
    workers = any_pool._processes
    assert pid in workers
    assert len(workers) == (2 if method == "fork" else 1)
    worker = workers[pid]
    assert worker.pid == worker.ident == pid
    assert worker.is_alive()
    worker.join(0.01)
    any_pool.shutdown()
    worker.join(PATIENCE)
    assert not worker.is_alive()
    worker.terminate()  # of one that has gone: nothing


def test_a_worker_can_be_killed_by_hand(any_pool):
    job = any_pool.submit(time.sleep, 60)
    until(job.running)
    any_pool._processes[job.pid].kill()
    with pytest.raises(WorkerDiedError) as caught:
        job.result(PATIENCE)
    assert caught.value.outcome.signal == signal.SIGKILL
    assert not any_pool._broken
    assert any_pool.submit(abs, -1).result(PATIENCE) == 1


def test_the_first_job_is_begun_by_a_shutdown_that_cancels(make_pool, method):
    pool = make_pool(1, method)
    jobs = [pool.submit(time.sleep, 0.1) for _ in range(10)]
    pool.shutdown(cancel_futures=True)
    assert jobs[0].result(0) is None
    assert all(job.cancelled() for job in jobs[2:])


def test_a_shutdown_that_cancels_does_not_wait_unless_asked(make_pool):
    pool = make_pool(1, "spawn")
    jobs = [pool.submit(time.sleep, 60) for _ in range(3)]
    begun = time.monotonic()
    pool.shutdown(wait=False, cancel_futures=True)
    assert time.monotonic() - begun < 1
    until(jobs[2].cancelled)


class _Thing:
    pass


def _thing(_number: int) -> _Thing:
    return _Thing()


@pytest.mark.parametrize("chunksize", [1, 3])
def test_map_keeps_no_result(pool, chunksize):
    for thing in pool.map(_thing, range(9), chunksize=chunksize):
        dead = weakref.ref(thing)
        del thing
        gc.collect()
        if chunksize == 1:
            assert dead() is None


def test_a_pool_that_only_its_map_knows_ends():
    pool = hardstop.ProcessPoolExecutor(2)
    results = pool.map(abs, range(-5, 5))
    end = pool._executor_manager_thread
    del pool
    gc.collect()
    end.join(PATIENCE)
    assert not end.is_alive()
    assert list(results) == [5, 4, 3, 2, 1, 0, 1, 2, 3, 4]


def _fail() -> None:
    raise ValueError("error in initializer")


def test_a_failing_initializer_breaks_the_pool(make_pool, method):
    pool = make_pool(2, method, initializer=_fail)
    assert not pool._broken
    first = pool.submit(abs, -1)
    with pytest.raises(BrokenProcessPool):
        first.result(PATIENCE)
    until(lambda: pool._broken)
    assert "error in initializer" in pool._broken
    with pytest.raises(BrokenProcessPool):
        pool.submit(abs, -1)


def test_max_workers_and_context_are_told():
    context = multiprocessing.get_context("spawn")
    pool = hardstop.ProcessPoolExecutor(3, context)
    assert pool._max_workers == 3
    assert pool._mp_context is context
