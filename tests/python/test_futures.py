"""Futures in many hands: callbacks, waiting threads, the functions of concurrent.futures."""

from __future__ import annotations

import concurrent.futures
import gc
import logging
import threading
import time
import weakref

import pytest

import hardstop
from jobs import die, double, fail, identity, say_and_sleep, wait_for_file
from support import PATIENCE, run_script, running, said, until


def in_threads(count, function):
    answers = []

    def work():
        try:
            answers.append(function())
        except BaseException as error:
            answers.append(error)

    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    return answers


def test_is_a_future_of_the_standard_library(pool):
    future = pool.submit(double, 1)
    assert isinstance(future, concurrent.futures.Future)
    assert isinstance(pool, concurrent.futures.Executor)
    assert future.result() == 2
    assert "finished" in repr(future)


def test_many_threads_wait_for_one_future(pool):
    for _ in range(50):
        future = pool.submit(identity, [1, 2, 3])
        answers = in_threads(8, lambda f=future: f.result(PATIENCE))
        assert answers == [[1, 2, 3]] * 8
        assert len({id(answer) for answer in answers}) == 1, "it is loaded once"


def test_many_threads_wait_in_different_ways(pool, tmp_path):
    gate = tmp_path / "gate"
    future = pool.submit(wait_for_file, str(gate))
    ways = iter(
        [
            lambda: future.result(PATIENCE),
            lambda: next(concurrent.futures.as_completed([future], PATIENCE)).result(),
            lambda: concurrent.futures.wait([future], PATIENCE).done.pop().result(),
            lambda: future.exception(PATIENCE) or future.result(),
        ]
        * 3
    )
    threads = threading.Thread(target=lambda: (time.sleep(0.05), gate.touch()))
    threads.start()
    assert in_threads(12, lambda: next(ways)()) == [str(gate)] * 12
    threads.join()


def test_many_threads_wait_for_one_that_is_cancelled(pool, tmp_path):
    future = pool.submit(say_and_sleep, str(tmp_path / "a"))
    said(tmp_path / "a")
    timer = threading.Timer(0.05, future.cancel)
    timer.start()
    answers = in_threads(8, lambda: future.result(PATIENCE))
    assert [type(answer) for answer in answers] == [hardstop.ProcessCancelledError] * 8
    timer.join()


def test_callbacks_never_run_in_a_thread_that_merely_waits(pool):
    """Nor any that the engine lends: one thread, always the same, with a name."""
    seen = set()
    waiters = set()
    for at in range(200):
        future = pool.submit(double, at)
        future.add_done_callback(lambda _: seen.add(threading.get_ident()))
        waiters.add(threading.get_ident())
        assert future.result() == 2 * at
    until(lambda: seen)
    pool.shutdown()
    assert not seen & waiters
    assert len(seen) == 1


def test_a_callback_added_late_is_called_at_once(pool):
    future = pool.submit(double, 1)
    future.result()
    seen = []
    future.add_done_callback(lambda f: seen.append((f, threading.get_ident())))
    assert seen == [(future, threading.get_ident())]


def test_each_callback_is_called_once_in_order(pool):
    for _ in range(100):
        order = []
        future = pool.submit(double, 1)
        for at in range(10):
            future.add_done_callback(lambda _, at=at: order.append(at))
        future.result()
        until(lambda: len(order) == 10)
        assert order == list(range(10))


def test_callbacks_that_raise_are_logged_and_the_others_run(pool, caplog, tmp_path):
    gate = tmp_path / "gate"
    future = pool.submit(wait_for_file, str(gate))
    seen = []

    def bad(_):
        raise LookupError("callback")

    def worse(_):
        raise SystemExit("callback")

    with caplog.at_level(logging.ERROR, "concurrent.futures"):
        future.add_done_callback(bad)
        future.add_done_callback(worse)
        future.add_done_callback(seen.append)
        gate.touch()
        future.result()
        until(lambda: seen)
    assert sum("exception calling callback" in each.getMessage() for each in caplog.records) == 2
    assert pool.submit(double, 2).result() == 4


def test_callbacks_of_a_cancel_that_raise(make_pool, tmp_path, caplog):
    """In the caller's thread: what is no Exception reaches the caller, as it does there."""
    pool = make_pool(1)
    pool.submit(say_and_sleep, str(tmp_path / "a"))
    said(tmp_path / "a")
    queued, other = pool.submit(double, 1), pool.submit(double, 2)

    def interrupt(_):
        raise KeyboardInterrupt

    queued.add_done_callback(interrupt)
    with pytest.raises(KeyboardInterrupt):
        queued.cancel()
    assert queued.cancelled()
    other.add_done_callback(lambda _: 1 / 0)
    with caplog.at_level(logging.ERROR, "concurrent.futures"):
        assert other.cancel()
    assert "ZeroDivisionError" in caplog.text


def test_callbacks_that_submit(pool):
    results = []

    def again(future):
        if future.result() < 100:
            pool.submit(double, future.result()).add_done_callback(again)
        else:
            results.append(future.result())

    pool.submit(double, 1).add_done_callback(again)
    until(lambda: results)
    assert results == [128]


def test_callbacks_that_wait_for_other_futures(pool):
    seen = []
    first, second = pool.submit(time.sleep, 0.01), pool.submit(time.sleep, 0.05)
    first.add_done_callback(lambda _: seen.append(second.result(PATIENCE)))
    until(lambda: seen)
    assert seen == [None]


def test_callbacks_that_wait_for_what_others_iterate_over(pool, tmp_path):
    """The thread of callbacks is the one that ends such a future: it must not wait for itself."""
    gate = tmp_path / "gate"
    first, second = pool.submit(time.sleep, 0.01), pool.submit(wait_for_file, str(gate))
    seen, iterated = [], []
    thread = threading.Thread(
        target=lambda: iterated.extend(concurrent.futures.as_completed([second], PATIENCE))
    )
    thread.start()
    until(lambda: second._waiters)
    first.add_done_callback(lambda _: (gate.touch(), seen.append(second.result(PATIENCE))))
    thread.join(PATIENCE)
    assert iterated == [second]
    until(lambda: seen)


def test_callbacks_that_cancel(pool, tmp_path):
    sleeper = pool.submit(say_and_sleep, str(tmp_path / "a"))
    said(tmp_path / "a")
    pool.submit(double, 1).add_done_callback(lambda _: sleeper.cancel())
    with pytest.raises(hardstop.ProcessCancelledError):
        sleeper.result(PATIENCE)


def test_callbacks_that_shut_the_pool_down(make_pool):
    pool = make_pool()
    done = []
    pool.submit(double, 1).add_done_callback(lambda _: (pool.shutdown(wait=False), done.append(1)))
    until(lambda: done)
    pool.shutdown()


def test_as_completed_and_wait(any_pool):
    futures = [any_pool.submit(double, at) for at in range(200)]
    assert {f.result() for f in concurrent.futures.as_completed(futures)} == set(range(0, 400, 2))
    futures = [any_pool.submit(double, 1), any_pool.submit(fail), any_pool.submit(time.sleep, 600)]
    some = concurrent.futures.wait(
        futures, PATIENCE, return_when=concurrent.futures.FIRST_EXCEPTION
    )
    assert futures[1] in some.done
    assert futures[2] in some.not_done
    futures[2].cancel()
    assert not concurrent.futures.wait(futures, PATIENCE).not_done


def test_as_completed_with_a_crash_and_a_cancel(any_pool, tmp_path):
    """Deadpool's wait() hangs on cancelled futures."""
    crash = any_pool.submit(die)
    sleeper = any_pool.submit(say_and_sleep, str(tmp_path / "a"))
    said(tmp_path / "a")
    sleeper.cancel()
    assert set(concurrent.futures.as_completed([crash, sleeper], PATIENCE)) == {crash, sleeper}


def test_futures_are_freed(pool):
    class Big:
        pass

    future = pool.submit(identity, [0] * 1000)
    future.result()
    ref = weakref.ref(future)
    del future
    gc.collect()
    until(lambda: ref() is None, "the future to be freed")


def test_a_dropped_future_does_not_stop_its_job(pool, tmp_path):
    pool.submit(say_and_sleep, str(tmp_path / "a"), 0.0)
    gc.collect()
    said(tmp_path / "a")


def test_a_future_without_a_pool_is_as_in_the_standard_library():
    future = hardstop.Future()
    assert not future.done()
    assert future.state == "queued"
    assert future.set_running_or_notify_cancel()
    assert future.running()
    assert future.state == "running"
    future.set_result(3)
    assert future.result() == 3
    seen = []
    future.add_done_callback(seen.append)
    assert seen == [future]
    other = hardstop.Future()
    assert other.cancel()
    assert other.cancelled()
    with pytest.raises(concurrent.futures.CancelledError):
        other.result(0)
    with pytest.raises(concurrent.futures.TimeoutError):
        hardstop.Future().result(0.01)


def test_a_condition_nobody_may_hold_for_two(pool):
    """wait() holds the conditions of all its futures: publishing one never needs another's."""
    futures = [pool.submit(double, at) for at in range(100)]
    holders = in_threads(6, lambda: len(concurrent.futures.wait(futures, PATIENCE).done))
    assert holders == [100] * 6


def test_threads_that_submit_wait_and_cancel(make_pool):
    pool = make_pool(2)

    def work():
        for at in range(100):
            future = pool.submit(double, at)
            if at % 3 == 0:
                future.cancel()
            try:
                assert future.result(PATIENCE) == 2 * at
            except hardstop.ProcessCancelledError:
                assert future.cancelled()
        return "done"

    assert in_threads(6, work) == ["done"] * 6


def test_running_is_seen(any_pool, tmp_path):
    gate = tmp_path / "gate"
    future = any_pool.submit(wait_for_file, str(gate))
    running(future)
    assert future.state == "running"
    assert future.pid
    gate.touch()
    assert future.result() == str(gate)
    assert future.state == "done"
    assert future.outcome.kind == "value"


def test_results_are_delivered_while_the_client_holds_the_gil(tmp_path):
    """G6: deadlines do not wait for it either."""
    out = run_script(
        """
        import sys, time
        import hardstop
        sys.setswitchinterval(1000)
        if __name__ == "__main__":
            with hardstop.ProcessPoolExecutor(1) as pool:
                pool.submit(abs, 1).result()
                future = pool.submit(time.sleep, 600, hardstop.ProcessTimeout(0.2))
                end = time.monotonic() + 1.0
                while time.monotonic() < end:
                    pass
                assert future.outcome is not None, "the deadline waited for the GIL"
                print(future.outcome.kind, future.outcome.ran_for < 0.9)
        """,
        tmp_path,
    )
    assert out.split() == ["timed", "out", "True"]


# --- a thread that waits completes the future of its job, unless somebody else looks at it


def test_a_waiter_and_callbacks_that_come_meanwhile(pool):
    """Whoever completes, each callback is called once, and not in the thread that waits."""
    called = []
    for _ in range(300):
        future = pool.submit(abs, -1)
        threads = [threading.Thread(target=future.result) for _ in range(2)]
        for thread in threads:
            thread.start()
        future.add_done_callback(lambda f: called.append((f, threading.get_ident())))
        assert future.result(PATIENCE) == 1
        for thread in threads:
            thread.join(PATIENCE)
    pool.shutdown()
    assert len({id(future) for future, _ in called}) == 300 == len(called)
    assert future.done()


def test_a_waiter_whose_time_is_over_leaves_the_rest_to_others(pool, tmp_path):
    future = pool.submit(wait_for_file, str(tmp_path / "gate"))
    with pytest.raises(TimeoutError):
        future.result(0)
    called = []
    future.add_done_callback(called.append)
    with pytest.raises(concurrent.futures.TimeoutError):
        future.result(0.01)
    (tmp_path / "gate").touch()
    until(lambda: called, "the callback to be called")
    assert future.done()


def test_progress_is_told_before_the_end_also_where_one_waits(pool):
    for _ in range(100):
        told = []
        future = pool.submit(_tells, 3)
        waiter = threading.Thread(target=future.result)
        waiter.start()
        future.add_progress_callback(lambda _, seen=told: seen.append("progress"))
        future.add_done_callback(lambda _, seen=told: seen.append("end"))
        waiter.join(PATIENCE)
        until(lambda seen=told: "end" in seen, "the callback to be called")
        assert told[-1] == "end"


def _tells(times: int) -> None:
    for at in range(times):
        hardstop.current_job().progress(at, times)


def test_nothing_keeps_a_future_that_its_waiter_has_completed(pool):
    future = pool.submit(abs, -1)
    assert future.result(PATIENCE) == 1
    gone = weakref.ref(future)
    del future
    pool.submit(abs, -1).result(PATIENCE)
    pool.shutdown()
    gc.collect()
    assert gone() is None


def test_all_is_done_when_a_pool_has_shut_down_though_others_wait(make_pool):
    for _ in range(100):
        pool = make_pool(1)
        futures = [pool.submit(abs, -at) for at in range(8)]
        waiters = [threading.Thread(target=future.result) for future in futures]
        for waiter in waiters:
            waiter.start()
        pool.shutdown()
        assert all(future.done() for future in futures)
        for waiter in waiters:
            waiter.join(PATIENCE)
