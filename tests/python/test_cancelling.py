"""The caller decides how a job is cancelled, and the job what is not interrupted (G8)."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time

import pytest

import hardstop
from hardstop import CurrentJob, JobCancelled, current_job

PATIENCE = 60


@pytest.fixture
def pool():
    with hardstop.ProcessPoolExecutor(2) as executor:
        yield executor


def wait_until(true, what="it"):
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, f"waited for {what} in vain"
        time.sleep(0.001)


def running(future):
    wait_until(future.running, "the job to begin")
    wait_until(lambda: future.progress is not None, "the job to say so")
    return future


# --- jobs


def begun() -> CurrentJob:
    job = current_job()
    job.progress(1)
    return job


def until_asked():
    job = begun()
    while not job.cancel_requested:
        time.sleep(0.001)
    return "asked"


def deaf():
    begun()
    time.sleep(1000)


def shielded(path, seconds, longest):
    with hardstop.shield(longest, "writing"):
        begun()
        time.sleep(seconds)
        path.write_text("whole")
    time.sleep(1000)


def cleaning_up(path):
    try:
        begun()
        time.sleep(1000)
    except JobCancelled:
        path.write_text("cleaned up")
        raise


def carrying_on(path):
    try:
        begun()
        time.sleep(1000)
    except JobCancelled:
        pass
    path.write_text("went on")
    return "a result after all"


# What a worker sends to the thread of its job.
INTERRUPT = signal.SIGRTMAX - 6


def missing_the_first():
    # As if it had come just before a system call, which it then does not interrupt.
    signal.pthread_sigmask(signal.SIG_BLOCK, [INTERRUPT])
    try:
        begun()
        signal.sigwait([INTERRUPT])
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [INTERRUPT])
        time.sleep(1000)
    except JobCancelled:
        return "heard"


def interrupted():
    """Whether a signal waits, or comes in several times the time after which it is sent again."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [INTERRUPT])
    return signal.sigtimedwait([INTERRUPT], 0.1) is not None


def interrupted_after_it_heard():
    try:
        begun()
        time.sleep(1000)
    except JobCancelled:
        return interrupted()


def interrupted_in_a_shield():
    with contextlib.suppress(JobCancelled), hardstop.shield(50):
        until_asked()
        found = interrupted()
    return found


def ending_before_it_hears():
    signal.pthread_sigmask(signal.SIG_BLOCK, [INTERRUPT])
    begun()
    while INTERRUPT not in signal.sigpending():
        time.sleep(0.001)
    return os.getpid()


def who_is_interrupted():
    return os.getpid(), interrupted()


def while_a_thread_shields(path):
    def write():
        with hardstop.shield(50):
            until_asked()
            time.sleep(0.05)
        path.write_text("undisturbed")

    thread = threading.Thread(target=write)
    thread.start()
    try:
        time.sleep(1000)
    except JobCancelled:
        thread.join()
        return path.read_text()


def shielded_from_exceptions(path):
    try:
        with hardstop.shield(50):
            begun()
            while not current_job().cancel_requested:
                time.sleep(0.001)
            time.sleep(0.05)
            path.write_text("whole")
    except JobCancelled:
        return "raised at the end of the section"
    return "not raised"


def without_exceptions():
    try:
        job = begun()  # asked to stop from here on
        while not job.cancel_requested:
            time.sleep(0.001)
        time.sleep(0.05)
    except BaseException as error:
        return repr(error)
    return "undisturbed"


def noop(number=0):
    return number


def marks_itself(path):
    with path.open("a") as file:
        file.write(f"{os.getpid()}\n")
    time.sleep(1000)


# --- ask, grace, kill


def test_ask_sets_the_flag_and_nothing_else(pool):
    job = running(pool.submit(until_asked))
    assert job.cancel(mode="ask")
    assert job.result() == "asked"
    assert job.outcome.cancel == "finished first"


def test_ask_never_kills(pool):
    job = running(pool.submit(deaf))
    assert job.cancel(mode="ask")
    time.sleep(0.05)
    assert job.running()
    assert job.cancel(mode="kill")
    with pytest.raises(hardstop.ProcessCancelledError):
        job.result()
    assert job.outcome.cancel == "killed"


def test_a_grace_lets_the_job_finish(pool):
    job = running(pool.submit(until_asked))
    assert job.cancel(mode="grace", grace=50)
    assert job.result() == "asked"


def test_a_job_that_has_not_begun_tells_so(pool):
    blockers = [pool.submit(deaf) for _ in range(2)]
    waiting = pool.submit(noop)
    assert waiting.cancel(mode="ask")
    assert waiting.cancelled()
    assert waiting.outcome.cancel == "never started"
    for blocker in blockers:
        blocker.kill()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"mode": "gently"}, "give 'ask', 'grace' or 'kill'"),
        ({"mode": "kill", "grace": 1}, "waits for nobody"),
    ],
)
def test_modes_that_make_no_sense_are_refused(pool, options, text):
    job = pool.submit(noop)
    with pytest.raises(ValueError, match=text):
        job.cancel(**options)


# --- shields


def test_a_cancel_waits_for_a_shielded_section(pool, tmp_path):
    path = tmp_path / "file"
    job = running(pool.submit(shielded, path, 0.1, 50))
    job.cancel()
    with pytest.raises(hardstop.ProcessCancelledError):
        job.result()
    assert path.read_text() == "whole"
    stats = pool.stats()
    assert stats["shields"] == 1
    assert stats["shielded"] > 0.05


def test_no_longer_than_the_section_named(pool, tmp_path):
    path = tmp_path / "file"
    job = running(pool.submit(shielded, path, 1000, 0.05))
    assert pool.stats()["shielded_now"][0][1] == "writing"
    job.cancel()
    with pytest.raises(hardstop.ProcessCancelledError):
        job.result(PATIENCE)
    assert not path.exists()


def test_a_kill_does_not_wait(pool, tmp_path):
    path = tmp_path / "file"
    job = running(pool.submit(shielded, path, 1000, 1000))
    job.cancel()
    job.cancel(mode="kill")
    with pytest.raises(hardstop.ProcessCancelledError):
        job.result(PATIENCE)


def test_a_time_limit_does_not_wait(pool, tmp_path):
    job = pool.options(timeout=0.05).submit(shielded, tmp_path / "file", 1000, 1000)
    with pytest.raises(hardstop.ProcessTimeoutError):
        job.result(PATIENCE)


def test_a_shield_is_for_jobs_and_names_its_time():
    with pytest.raises(hardstop.HardstopError, match="outside of a job"), hardstop.shield(1):
        pass
    with pytest.raises(ValueError, match="name the longest time"):
        hardstop.shield(0)


# --- raise_on_cancel


def test_a_job_can_ask_to_be_told_by_an_exception(pool, tmp_path):
    path = tmp_path / "file"
    job = running(pool.options(raise_on_cancel=True, grace=50).submit(cleaning_up, path))
    job.cancel()
    with pytest.raises(hardstop.ProcessCancelledError):
        job.result(PATIENCE)
    assert path.read_text() == "cleaned up"
    assert job.outcome.job == "cleaning_up"
    assert job.outcome.cancel == "finished first"


def test_and_may_go_on_within_its_grace(pool, tmp_path):
    job = running(
        pool.options(raise_on_cancel=True, grace=50).submit(carrying_on, tmp_path / "file")
    )
    job.cancel()
    assert job.result(PATIENCE) == "a result after all"


def test_nothing_is_raised_inside_of_a_shield(pool, tmp_path):
    view = pool.options(raise_on_cancel=True, grace=50)
    job = running(view.submit(shielded_from_exceptions, tmp_path / "file"))
    job.cancel()
    assert job.result(PATIENCE) == "raised at the end of the section"
    assert (tmp_path / "file").read_text() == "whole"


def test_it_is_told_until_it_hears(pool):
    job = running(pool.options(raise_on_cancel=True, grace=50).submit(missing_the_first))
    job.cancel()
    assert job.result(PATIENCE) == "heard"


def test_and_then_is_left_alone(pool):
    job = running(pool.options(raise_on_cancel=True, grace=50).submit(interrupted_after_it_heard))
    job.cancel()
    assert not job.result(PATIENCE)


def test_its_system_calls_are_not_interrupted_inside_of_a_shield(pool):
    job = running(pool.options(raise_on_cancel=True, grace=50).submit(interrupted_in_a_shield))
    job.cancel()
    assert not job.result(PATIENCE)


def test_a_thread_that_ends_its_section_is_not_the_one_that_is_told(pool, tmp_path):
    view = pool.options(raise_on_cancel=True, grace=50)
    job = running(view.submit(while_a_thread_shields, tmp_path / "file"))
    job.cancel()
    assert job.result(PATIENCE) == "undisturbed"


# G3: of what is sent to a job nothing reaches the next one.
def test_the_next_job_is_not_interrupted():
    with hardstop.ProcessPoolExecutor(1) as pool:
        first = running(pool.options(raise_on_cancel=True, grace=50).submit(ending_before_it_hears))
        first.cancel()
        for raise_on_cancel in (False, True):
            following = pool.options(raise_on_cancel=raise_on_cancel).submit(who_is_interrupted)
            assert following.result(PATIENCE) == (first.result(PATIENCE), False)


def test_nothing_is_raised_in_a_job_that_has_not_asked_for_it(pool):
    first = running(pool.options(raise_on_cancel=True, grace=50).submit(without_exceptions))
    first.cancel()
    assert "JobCancelled" in first.result(PATIENCE)
    # Nor in the next job of that worker.
    for _ in range(4):
        job = running(pool.options(grace=50).submit(without_exceptions))
        job.cancel()
        assert job.result(PATIENCE) == "undisturbed"


# --- cancel meets completion


TRIES = int(os.environ.get("HARDSTOP_CANCEL_TRIES", "2000"))


def what_happened(job):
    try:
        job.result(PATIENCE)
    except hardstop.ProcessCancelledError:
        return job.outcome.cancel
    return "result"


def test_the_answer_is_what_happened_in_threads(pool):
    seen = set()
    for number in range(TRIES):
        job = pool.submit(noop, number)
        if number % 5:
            time.sleep((number % 13) * 5e-6)
        accepted = job.cancel()
        what = what_happened(job)
        seen.add(what)
        assert job.cancelled() == (what != "result")
        if what == "result":
            assert job.outcome.cancel in ("not requested", "finished first")
            assert job.result() == number
        else:
            assert accepted
            assert what in ("never started", "killed")
    assert "result" in seen
    assert "never started" in seen


def test_the_answer_is_what_happened_in_asyncio(pool):
    async def scene():
        for number in range(TRIES // 4):
            task = asyncio.ensure_future(pool.run(noop, number))
            for _ in range(number % 4):
                await asyncio.sleep(0)
            if number % 3 == 0:
                await asyncio.sleep(0.0002)
            task.cancel()
            try:
                assert await task == number
            except asyncio.CancelledError:
                assert task.cancelled()
            assert pool.stats()["running"] == 0 or number % 4

    asyncio.run(scene())


# --- asyncio


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


async def pids_in(path, count):
    while not path.exists() or len(path.read_text().split()) < count:
        await asyncio.sleep(0.001)
    return [int(each) for each in path.read_text().split()]


def test_a_cancelled_run_returns_when_the_tree_is_gone(pool, tmp_path):
    async def scene():
        path = tmp_path / "pids"
        task = asyncio.create_task(pool.run(marks_itself, path))
        [pid] = await pids_in(path, 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not alive(pid)

    asyncio.run(scene())


def test_a_task_cancelled_before_its_first_step_submits_nothing(pool):
    async def scene():
        await pool.run(noop)
        before = pool.stats()["submitted"]
        task = asyncio.create_task(pool.run(noop))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert pool.stats()["submitted"] == before

    asyncio.run(scene())


def sleeps_and_writes(path):
    time.sleep(0.3)
    path.write_text("it ran to its end")


def test_the_standard_executor_lets_a_cancelled_job_run_on(tmp_path):
    async def scene(executor):
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(
            loop.run_in_executor(executor, sleeps_and_writes, tmp_path / "file")
        )
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as executor:
        executor.submit(noop).result()
        asyncio.run(scene(executor))
    assert (tmp_path / "file").exists()


def test_asyncio_shield_keeps_the_job(pool):
    async def scene():
        inner = asyncio.ensure_future(pool.run(noop, 7))
        outer = asyncio.ensure_future(asyncio.shield(inner))
        await asyncio.sleep(0)
        outer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await outer
        assert await inner == 7

    asyncio.run(scene())


def test_wait_for_stops_the_job_before_it_times_out(pool, tmp_path):
    async def scene():
        path = tmp_path / "pids"
        await pool.run(noop)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(pool.run(marks_itself, path), 0.3)
        [pid] = await pids_in(path, 1)
        assert not alive(pid)

    asyncio.run(scene())


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.timeout came with 3.11")
def test_timeout_stops_the_job_before_it_raises(pool, tmp_path):
    async def scene():
        path = tmp_path / "pids"
        await pool.run(noop)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await pool.run(marks_itself, path)
        [pid] = await pids_in(path, 1)
        assert not alive(pid)

    asyncio.run(scene())


# It never discards an accepted job silently: each is gone, or has been counted.
@pytest.mark.skipif(sys.version_info < (3, 11), reason="TaskGroup came with 3.11")
def test_a_task_group_that_fails_leaves_nothing(pool, tmp_path):
    async def scene():
        path = tmp_path / "pids"

        async def fail():
            await pids_in(path, 2)
            raise RuntimeError("one of them fails")

        with pytest.raises(BaseExceptionGroup):  # noqa: F821
            async with asyncio.TaskGroup() as group:
                for _ in range(2):
                    group.create_task(pool.run(marks_itself, path))
                group.create_task(pool.run(noop))
                group.create_task(pool.run(marks_itself, path))
                group.create_task(fail())
        for pid in await pids_in(path, 2):
            assert not alive(pid)
        stats = pool.stats()
        assert stats["submitted"] == sum(stats["ended"].values())

    asyncio.run(scene())


def test_cancels_from_many_threads_are_one(pool):
    job = running(pool.submit(deaf))
    answers = []

    def cancel(mode):
        answers.append(job.cancel(mode=mode))

    threads = [threading.Thread(target=cancel, args=(mode,)) for mode in ("ask", "kill") * 8]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert what_happened(job) == "killed"
    assert answers.count(True) >= 1
