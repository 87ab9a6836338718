"""Permits that survive a killed holder (G7)."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import multiprocessing
import os
import pickle
import random
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

import hardstop
from hardstop import Lock, Semaphore

PATIENCE = 60


def wait_until(true, what="it"):
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, f"waited for {what} in vain"
        time.sleep(0.001)


@pytest.fixture
def pool():
    with hardstop.ProcessPoolExecutor(3) as executor:
        yield executor


# --- jobs


def fence_in_block(db):
    with db as permit:
        return permit.fence


def stay(db):
    db.acquire()
    time.sleep(1000)


def acquire_and_return(db):
    db.acquire()
    return "without giving it back"


def fence_of_needs(db):
    return db.needed().fence


def release_what_it_has_not(db):
    db.release()


def release_twice(db):
    permit = db.acquire()
    permit.release()
    permit.release()


def in_a_child_of_the_job(db):
    read, write = os.pipe()
    if os.fork() == 0:
        try:
            db.acquire()
            os.write(write, b"acquired")
        except hardstop.HardstopError as error:
            os.write(write, str(error).encode())
        os._exit(0)
    os.wait()
    return os.read(read, 1000).decode()


async def two_tasks(db):
    async def one():
        async with db as permit:
            await asyncio.sleep(0.001)
            return permit.fence

    return await asyncio.gather(one(), one())


def run_two_tasks(db):
    return asyncio.run(two_tasks(db))


def noop():
    return None


def write_while_alone(path, db):
    with open(path, "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(0.0005)
    return db.needed().fence


# --- in the client


def test_are_as_many_as_there_are():
    db = Semaphore(2, name="db")
    first = db.acquire()
    with db as second:
        assert first.fence < second.fence
        assert db.acquire(blocking=False) is None
        assert db.acquire(timeout=0.01) is None
        assert db.stats().available == 0
    first.release()
    assert db.stats().available == 2
    assert db.stats().name == "db"


def test_that_were_released_cannot_be_released_again():
    db = Semaphore(1)
    permit = db.acquire()
    permit.release()
    with pytest.raises(hardstop.HardstopError, match="released already"):
        permit.release()
    with pytest.raises(hardstop.HardstopError, match="is not held by this thread"):
        db.release()
    assert db.stats().available == 1


def test_of_another_thread_cannot_be_released():
    db = Semaphore(1)
    db.acquire()
    raised = []

    def other():
        try:
            db.release()
        except hardstop.HardstopError as error:
            raised.append(error)

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert raised
    db.release()


@pytest.mark.parametrize("value", [0, -1, 1.5, True, 2**31])
def test_have_a_number(value):
    with pytest.raises(ValueError, match="give the number of permits"):
        Semaphore(value)


def test_are_waited_for_in_order():
    db = Semaphore(1)
    order = []
    db.acquire()

    def take(number):
        with db:
            order.append(number)

    threads = []
    for number in range(5):
        threads.append(threading.Thread(target=take, args=(number,)))
        threads[-1].start()
        wait_until(lambda expected=number + 1: len(db.stats().waiters) == expected)
    db.release()
    for thread in threads:
        thread.join()
    assert order == list(range(5))


def test_of_several_are_taken_at_once_or_not_at_all():
    db, gpu = Semaphore(1), Semaphore(2)
    with gpu.hold(2):
        waiting = hardstop.acquire_all({db: 1, gpu: 1})
        thread = threading.Thread(target=lambda: waiting.__enter__())
        thread.start()
        wait_until(lambda: gpu.stats().waiters)
        assert db.stats().available == 1
    thread.join()
    assert db.stats().available == 0
    waiting.__exit__()
    assert (db.stats().available, gpu.stats().available) == (1, 2)


def test_of_a_hold_that_nobody_leaves_come_back():
    db = Semaphore(1)

    def numbers():
        with db.hold():
            yield 1
            yield 2

    for _ in numbers():
        break
    gc.collect()
    assert db.stats().available == 1


def test_are_interrupted_while_they_are_waited_for():
    db = Semaphore(1)
    db.acquire()

    class Interrupted(Exception):
        pass

    def handler(*_):
        raise Interrupted

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(Interrupted):
            db.acquire()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert not db.stats().waiters


def test_of_a_block_that_has_returned_its_own_are_not_taken_from_others():
    db = Semaphore(2)
    with db as mine:
        other = db.acquire()
        mine.release()
    assert other.held
    other.release()
    assert db.stats().available == 2


# --- asyncio


def test_of_a_task_that_has_returned_its_own_are_not_taken_from_others():
    async def scene():
        db = Semaphore(2)
        async with db as outer:

            async def inner():
                async with db as mine:
                    mine.release()

            await asyncio.create_task(inner())
            assert outer.held
        assert db.stats().available == 2

    asyncio.run(scene())


def test_are_held_by_tasks():
    async def scene():
        db = Semaphore(1, name="db")
        seen = []

        async def use(number):
            async with db as permit:
                seen.append((number, permit.fence))
                assert "task" in db.stats().holders[0].who
                await asyncio.sleep(0)

        await asyncio.gather(*(use(number) for number in range(10)))
        assert [number for number, _ in seen] == list(range(10))
        assert db.stats().available == 1

    asyncio.run(scene())


def test_a_task_cancelled_before_its_first_step_loses_no_permit():
    async def scene():
        db = Semaphore(1)

        async def use():
            async with db:
                await asyncio.sleep(10)

        for _ in range(100):
            task = asyncio.create_task(use())
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert db.stats().available == 1

    asyncio.run(scene())


# asyncio.Semaphore of 3.10 and 3.11 lose wake-ups or permits here.
def test_a_waiter_cancelled_in_the_tick_of_its_grant_loses_nothing():
    async def scene():
        db = Semaphore(1)

        async def use():
            async with db:
                await asyncio.sleep(0)

        for turn in range(300):
            permit = await db.acquire_async()
            waiter = asyncio.create_task(use())
            other = asyncio.create_task(use())
            await asyncio.sleep(0)
            permit.release()
            # Before, in and after the tick in which the grant arrives.
            for _ in range(turn % 4):
                await asyncio.sleep(0)
            waiter.cancel()
            await asyncio.gather(waiter, other, return_exceptions=True)
            assert db.stats().available == 1
            assert not db.stats().waiters

    asyncio.run(scene())


def test_break_out_of_an_async_generator_returns_its_permit():
    async def scene():
        db = Semaphore(2)

        async def rows():
            async with db:
                yield 1
                yield 2

        other = await db.acquire_async()
        async for _ in rows():
            break
        gc.collect()
        for _ in range(100):  # the loop closes it in a task of its own
            await asyncio.sleep(0)
        assert db.stats().available == 1
        assert other.held

    asyncio.run(scene())


def test_wait_for_that_gives_up_leaves_no_trace():
    async def scene():
        db = Semaphore(1)
        async with db:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(db.acquire_async(), 0.01)
            assert not db.stats().waiters
        assert db.stats().available == 1

    asyncio.run(scene())


# --- jobs


def test_travel_to_jobs(pool):
    db = Semaphore(2)
    fences = [pool.submit(fence_in_block, db).result() for _ in range(5)]
    assert fences == sorted(set(fences))
    assert db.stats().available == 2
    assert pickle.loads(pickle.dumps(db)).stats() == db.stats()


def test_of_a_killed_job_come_back_abandoned(pool):
    lock = Lock(name="file")
    future = pool.options(name="writer").submit(stay, lock)
    wait_until(lambda: lock.stats().holders)
    assert "job 'writer'" in lock.stats().holders[0].who
    future.kill()
    with lock as permit:
        assert permit.abandoned
    with lock as permit:
        assert not permit.abandoned
    assert lock.stats().returned_by_death == 1


# multiprocessing.Semaphore keeps it for ever.
def test_of_a_job_that_forgets_them_come_back(pool):
    db = Semaphore(1)
    assert pool.submit(acquire_and_return, db).result()
    assert db.stats().available == 1


def test_that_are_needed_are_there_and_no_more(pool, tmp_path):
    db = Semaphore(1, name="db")
    view = pool.options(needs={db: 1})
    jobs = [view.submit(write_while_alone, tmp_path / "file", db) for _ in range(60)]
    fences = [job.result() for job in jobs]
    assert len(set(fences)) == 60
    assert db.stats().available == 1


def test_that_are_needed_and_never_there_are_refused(pool):
    db = Semaphore(1, name="db")
    with pytest.raises(ValueError, match="which has 1: the job could never begin"):
        pool.options(needs={db: 2}).submit(noop)
    with pytest.raises(TypeError, match="is no hardstop.Semaphore"):
        pool.options(needs={threading.Semaphore(): 1})
    with pytest.raises(ValueError, match="give a number, 1 or more"):
        pool.options(needs={db: 0})


def test_needed_by_a_job_that_is_cancelled_before_it_begins_are_not_lost(pool):
    db = Semaphore(1)
    for _ in range(300):
        future = pool.options(needs={db: 1}).submit(noop)
        future.cancel()
        if not future.cancelled():
            with contextlib.suppress(hardstop.ProcessCancelledError):
                future.result()
    wait_until(lambda: db.stats().available == 1)


def test_that_a_job_does_not_hold_cannot_be_released(pool):
    db = Semaphore(1)
    with pytest.raises(hardstop.HardstopError, match="not held"):
        pool.submit(release_what_it_has_not, db).result()
    with pytest.raises(hardstop.HardstopError, match="released already"):
        pool.submit(release_twice, db).result()
    assert db.stats().available == 1


def test_are_not_for_the_children_of_jobs(pool):
    db = Semaphore(1)
    assert "children that a job forks" in pool.submit(in_a_child_of_the_job, db).result()


async def many_tasks(db):
    async def one():
        async with db:
            await asyncio.sleep(0)

    async with db:
        tasks = [asyncio.create_task(one()) for _ in range(200)]
        await asyncio.sleep(0.05)
    await asyncio.gather(*tasks)
    return len(tasks)


def run_many_tasks(db):
    return asyncio.run(many_tasks(db))


# More than a lane has room for answers.
def test_are_awaited_by_many_tasks_of_a_job(pool):
    db = Semaphore(1)
    assert pool.submit(run_many_tasks, db).result(PATIENCE) == 200
    assert db.stats().available == 1


def test_are_awaited_in_jobs(pool):
    db = Semaphore(1)
    assert len(set(pool.submit(run_two_tasks, db).result())) == 2
    assert db.stats().available == 1


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_travel_to_executed_workers(method):
    db = Semaphore(1)
    context = multiprocessing.get_context(method)
    with hardstop.ProcessPoolExecutor(1, mp_context=context) as executor:
        assert executor.submit(fence_in_block, db).result() > 0
        assert executor.options(needs={db: 1}).submit(fence_of_needs, db).result() > 0
    assert db.stats().available == 1


# --- what the standard tools do with the same


def hold_and_tell(semaphore, pipe):
    semaphore.acquire()
    pipe.send("held")
    time.sleep(1000)


def test_multiprocessings_semaphore_keeps_the_permit_of_a_killed_holder():
    context = multiprocessing.get_context("spawn")
    semaphore = context.Semaphore(1)
    here, there = context.Pipe()
    holder = context.Process(target=hold_and_tell, args=(semaphore, there))
    holder.start()
    assert here.recv() == "held"
    holder.kill()
    holder.join()
    assert not semaphore.acquire(timeout=0.1)


# --- the storm


def storm(db, folder, witnesses, what):
    """flock() is kept by whatever inherits the descriptor: an independent witness."""
    db.acquire()
    for at in range(witnesses):
        file = os.open(f"{folder}/{at}", os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            os.close(file)
    else:
        raise AssertionError("one holder too many")
    if what == "with a grandchild":
        subprocess.Popen(["sleep", "1000"], start_new_session=True, pass_fds=[file])
    if what != "finish":
        time.sleep(1000)
    os.close(file)


def kills(tmp_path: Path, number: int) -> None:
    db = Semaphore(2)
    dice = random.Random(5)
    done = 0
    with hardstop.ProcessPoolExecutor(3) as executor:
        while done < number:
            victims = [
                executor.submit(
                    storm, db, tmp_path, 2, dice.choice(["stay", "stay", "with a grandchild"])
                )
                for _ in range(3)
            ]
            other = executor.submit(storm, db, tmp_path, 2, "finish")
            for victim in victims:
                time.sleep(dice.random() * 0.003)
                pid = victim.pid
                if pid and dice.random() < 0.5:
                    os.kill(pid, signal.SIGKILL)
                victim.kill()
                with contextlib.suppress(hardstop.ProcessCancelledError):
                    assert not isinstance(victim.exception(), AssertionError)
                done += 1
            assert isinstance(other.exception(), (hardstop.WorkerDiedError, type(None)))
        wait_until(lambda: db.stats().available == 2, "all permits")
        assert not db.stats().holders
        assert not db.stats().waiters
        with db.hold(2):
            assert db.acquire(blocking=False) is None


# A thousand: HARDSTOP_PERMIT_KILLS=1000.
def test_are_counted_right_whoever_is_killed(tmp_path):
    kills(tmp_path, int(os.environ.get("HARDSTOP_PERMIT_KILLS", "60")))


def test_a_deadlock_is_told_by_name():
    left, right = Lock(name="left"), Lock(name="right")
    met = threading.Barrier(2)

    def take(first, second):
        with first:
            met.wait()
            if second.acquire(timeout=2):
                second.release()

    threads = [threading.Thread(target=take, args=pair) for pair in ((left, right), (right, left))]
    for thread in threads:
        thread.start()
    wait_until(lambda: left.stats().deadlock)
    told = left.stats().deadlock
    for thread in threads:
        thread.join()
    assert len(told) == 2
    assert "waits for 'right'" in told[0] + told[1]
    assert not left.stats().deadlock
