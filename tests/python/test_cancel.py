"""What cancel() does to a job in each of its states, and what the future says then."""

from __future__ import annotations

import concurrent.futures
import threading
import time

import pytest

import hardstop
from hardstop import ProcessCancelledError, ProcessCancelTimeout
from jobs import (
    die,
    double,
    fail,
    identity,
    pid_after,
    raise_when_asked,
    say_and_sleep,
    stop_when_asked,
    wait_for_file,
)
from support import PATIENCE, alive, gone, running, said, until


def test_queued_is_cancelled_at_once_with_callbacks_in_the_caller(make_pool, tmp_path):
    pool = make_pool(1)
    blocker = pool.submit(say_and_sleep, str(tmp_path / "a"))
    said(tmp_path / "a")
    queued = pool.submit(double, 1)
    seen = []
    queued.add_done_callback(lambda f: seen.append((f, threading.get_ident(), f._state)))
    assert queued.state == "queued"
    assert queued.cancel() is True
    assert seen == [(queued, threading.get_ident(), "CANCELLED_AND_NOTIFIED")]
    assert queued.cancelled()
    assert queued.done()
    assert not queued.running()
    for ask in (queued.result, queued.exception):
        with pytest.raises(ProcessCancelledError):
            ask()
        with pytest.raises(concurrent.futures.CancelledError):
            ask()
    assert queued.cancel() is True, "as in the standard library: it is cancelled"
    assert queued.outcome.cancel == "never started"
    assert not queued.outcome.started
    assert blocker.running()


def test_queued_and_running_when_waited_for_with_the_standard_functions(make_pool, tmp_path):
    """Waiters of concurrent.futures see both kinds of cancel."""
    pool = make_pool(1)
    blocker = pool.submit(say_and_sleep, str(tmp_path / "a"))
    said(tmp_path / "a")
    queued = pool.submit(double, 1)
    answers = []

    def waits() -> None:
        answers.append(concurrent.futures.wait([blocker, queued], PATIENCE))

    def iterates() -> None:
        answers.append(list(concurrent.futures.as_completed([blocker, queued], PATIENCE)))

    threads = [threading.Thread(target=waits), threading.Thread(target=iterates)]
    for thread in threads:
        thread.start()
    until(lambda: len(blocker._waiters) == 2 and len(queued._waiters) == 2)
    assert queued.cancel()
    assert blocker.cancel()
    for thread in threads:
        thread.join(PATIENCE)
    assert {len(answer) for answer in answers} == {2}
    waited = next(answer for answer in answers if not isinstance(answer, list))
    assert waited.done == {blocker, queued}
    assert not waited.not_done
    assert [queued, blocker] in answers


def test_running_stays_running_until_it_is_gone(any_pool, tmp_path):
    """G2: who can see `cancelled` finds no process."""
    path = tmp_path / "a"
    future = any_pool.submit(stop_when_never_asked, str(path), ProcessCancelTimeout(PATIENCE))
    pid = int(said(path))
    seen = []
    future.add_done_callback(lambda f: seen.append((f._state, alive(pid))))
    assert future.cancel() is True
    assert future.running()
    assert not future.done()
    assert not future.cancelled()
    assert future._state not in ("CANCELLED", "CANCELLED_AND_NOTIFIED")
    assert alive(pid)
    with pytest.raises(concurrent.futures.TimeoutError):
        future.result(0.05)
    assert future.cancel(grace=0) is True, "a second one may shorten the grace"
    with pytest.raises(ProcessCancelledError):
        future.result(PATIENCE)
    assert not alive(pid)
    assert future.cancelled()
    assert future._state == "CANCELLED_AND_NOTIFIED"
    until(lambda: seen)
    assert seen == [("CANCELLED_AND_NOTIFIED", False)]
    assert future.outcome.cancel == "killed"
    assert future.outcome.started
    assert future.cancel() is True


def stop_when_never_asked(path: str) -> None:
    say_and_sleep(path)


def test_a_later_cancel_never_lengthens_the_grace(pool, tmp_path):
    future = pool.submit(say_and_sleep, str(tmp_path / "a"), ProcessCancelTimeout(0.2))
    said(tmp_path / "a")
    assert future.cancel()
    assert future.cancel(grace=1000)
    with pytest.raises(ProcessCancelledError):
        future.result(PATIENCE)


def test_many_cancels_of_a_running_job_are_one(pool, tmp_path):
    """The last one may come when the job is gone and nobody has looked yet."""
    for at in range(50):
        path = tmp_path / str(at)
        future = pool.submit(say_and_sleep, str(path))
        said(path)
        while future.state != "done":
            assert future.cancel() is True
        assert future.cancelled()
        assert future.cancel() is True


def test_finished_in_its_grace(pool, tmp_path):
    path = tmp_path / "a"
    future = pool.submit(stop_when_asked, str(path), "value", ProcessCancelTimeout(PATIENCE))
    said(path)
    assert future.cancel() is True
    assert future.result(PATIENCE) == "value"
    assert not future.cancelled()
    assert future._state == "FINISHED"
    assert future.outcome.cancel == "finished first"
    assert future.cancel() is False


def test_raised_in_its_grace(pool, tmp_path):
    path = tmp_path / "a"
    future = pool.submit(raise_when_asked, str(path), ProcessCancelTimeout(PATIENCE))
    said(path)
    assert future.cancel()
    with pytest.raises(LookupError):
        future.result(PATIENCE)
    assert not future.cancelled()


def test_finished_is_left_alone(pool):
    """G3: nothing is killed."""
    future = pool.submit(pid_after)
    pid = future.result()
    assert future.cancel() is False
    assert future.kill() is False
    assert future.take_back() is False
    assert future.ask() is False
    assert not future.cancelled()
    assert future.result() == pid
    assert alive(pid)
    assert pool.stats()["kills"] == 0


def test_asking_never_kills(pool, tmp_path):
    path = tmp_path / "a"
    future = pool.submit(stop_when_asked, str(path), 7)
    said(path)
    assert future.ask() is True
    assert future.result(PATIENCE) == 7
    assert not future.cancelled()


def test_taking_back_leaves_what_runs(make_pool, tmp_path):
    pool = make_pool(1)
    gate = tmp_path / "gate"
    first = pool.submit(wait_for_file, str(gate))
    running(first)
    second = pool.submit(double, 2)
    assert first.take_back() is False
    assert second.take_back() is True
    assert second.cancelled()
    gate.touch()
    assert first.result(PATIENCE) == str(gate)


def test_kill_ends_a_grace(pool, tmp_path):
    future = pool.submit(say_and_sleep, str(tmp_path / "a"), ProcessCancelTimeout(1000))
    said(tmp_path / "a")
    assert future.cancel()
    assert future.kill()
    with pytest.raises(ProcessCancelledError):
        future.result(PATIENCE)
    assert future.cancelled()


def test_killed_by_shutdown_is_finished_with_the_error_set(any_pool, tmp_path):
    """Not cancelled: asyncio would take it for a cancelled task."""
    path = tmp_path / "a"
    futures = [any_pool.submit(say_and_sleep, str(tmp_path / f"{at}")) for at in range(2)]
    pids = [int(said(tmp_path / f"{at}")) for at in range(2)]
    queued = any_pool.submit(say_and_sleep, str(path))
    any_pool.shutdown(timeout=0)
    gone(*pids)
    for future in futures:
        assert future._state == "FINISHED"
        assert not future.cancelled()
        assert isinstance(future.exception(), ProcessCancelledError)
        with pytest.raises(ProcessCancelledError):
            future.result()
        assert future.outcome.by_shutdown
    assert queued.cancelled()
    with pytest.raises(ProcessCancelledError):
        queued.result()
    assert not path.exists()


def test_asked_and_then_killed_by_shutdown(pool, tmp_path):
    """Asking is not cancelling: the pool killed it."""
    future = pool.submit(say_and_sleep, str(tmp_path / "a"))
    said(tmp_path / "a")
    future.ask()
    pool.shutdown(timeout=0)
    assert future._state == "FINISHED"
    assert isinstance(future.exception(), ProcessCancelledError)


def test_taken_back_in_vain_and_then_killed_by_shutdown(pool, tmp_path):
    future = pool.submit(say_and_sleep, str(tmp_path / "a"))
    said(tmp_path / "a")
    assert not future.take_back()
    pool.shutdown(timeout=0)
    assert future._state == "FINISHED"


def test_taken_back_in_vain_after_a_cancel(pool, tmp_path):
    future = pool.submit(say_and_sleep, str(tmp_path / "a"), ProcessCancelTimeout(0.3))
    said(tmp_path / "a")
    assert future.cancel()
    future.take_back()
    with pytest.raises(ProcessCancelledError):
        future.result(PATIENCE)
    assert future.cancelled()


def test_shutdown_cancelling_what_waits(make_pool, tmp_path):
    pool = make_pool(1)
    gate = tmp_path / "gate"
    runs = pool.submit(wait_for_file, str(gate))
    running(runs)
    waiting = [pool.submit(double, at) for at in range(20)]
    pool.shutdown(wait=False, cancel_futures=True)
    concurrent.futures.wait(waiting, PATIENCE)
    assert all(future.cancelled() for future in waiting)
    gate.touch()
    assert runs.result(PATIENCE) == str(gate)
    pool.shutdown()
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        pool.submit(double, 1)


def test_shutdown_without_a_time_limit_finishes_all(any_pool):
    futures = [any_pool.submit(double, at) for at in range(50)]
    any_pool.shutdown()
    assert [future.result(0) for future in futures] == [2 * at for at in range(50)]


def test_shutdown_may_be_made_harder(pool, tmp_path):
    future = pool.submit(say_and_sleep, str(tmp_path / "a"))
    said(tmp_path / "a")
    pool.shutdown(wait=False)
    assert future.running()
    pool.shutdown(wait=True, timeout=0.0)
    assert isinstance(future.exception(0), ProcessCancelledError)


def test_result_with_a_timeout_only_alerts(any_pool, tmp_path):
    gate = tmp_path / "gate"
    future = any_pool.submit(wait_for_file, str(gate))
    running(future)
    for _ in range(3):
        with pytest.raises(concurrent.futures.TimeoutError):
            future.result(0.02)
        with pytest.raises(concurrent.futures.TimeoutError):
            future.exception(timeout=0)
    assert future.running()
    gate.touch()
    assert future.result(PATIENCE) == str(gate)


def test_cancel_returns_without_waiting_and_others_run_on(make_pool, tmp_path):
    """G4."""
    pool = make_pool(2)
    future = pool.submit(say_and_sleep, str(tmp_path / "a"))
    said(tmp_path / "a")
    neighbour = pool.submit(identity, "unharmed")
    future.cancel()
    assert neighbour.result(PATIENCE) == "unharmed"
    concurrent.futures.wait([future], PATIENCE)
    assert [pool.submit(double, at).result(PATIENCE) for at in range(5)] == [0, 2, 4, 6, 8]


def test_errors_name_job_process_and_duration(pool, tmp_path):
    future = pool.options(name="deep thought").submit(say_and_sleep, str(tmp_path / "a"))
    pid = said(tmp_path / "a")
    future.cancel()
    error = pytest.raises(ProcessCancelledError, future.result, PATIENCE).value
    assert "deep thought" in str(error)
    assert pid in str(error)
    assert error.outcome.pid == int(pid) == future.pid
    died = pool.submit(die)
    error = pytest.raises(hardstop.WorkerDiedError, died.result, PATIENCE).value
    assert "die" in str(error)
    assert "SIGKILL" in str(error)
    assert error.outcome.signal == 9


def test_worker_died_is_a_broken_pool_that_lives_on(any_pool):
    future = any_pool.submit(die)
    with pytest.raises(concurrent.futures.process.BrokenProcessPool):
        future.result(PATIENCE)
    assert any_pool.submit(double, 4).result(PATIENCE) == 8


def test_a_timeout_is_the_jobs_failure(any_pool):
    future = any_pool.submit(time.sleep, 600, hardstop.ProcessTimeout(0.05))
    error = pytest.raises(TimeoutError, future.result, PATIENCE).value
    assert isinstance(error, concurrent.futures.TimeoutError)
    assert isinstance(error, hardstop.ProcessTimeoutError)
    assert not future.cancelled()
    assert future.outcome.kind == "timed out"
    assert not isinstance(error, concurrent.futures.CancelledError)


def test_an_exception_has_the_remote_traceback(any_pool):
    future = any_pool.submit(fail, "why")
    error = pytest.raises(ValueError, future.result, PATIENCE).value
    assert str(error) == "why"
    assert type(error.__cause__).__name__ == "_RemoteTraceback"
    assert "in fail" in str(error.__cause__)
    assert future.outcome.kind == "exception"
