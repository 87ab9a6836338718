"""What a worker is to the code that runs in it: initializers, multiprocessing, signals, ends."""

from __future__ import annotations

import concurrent.futures
import logging
import logging.handlers
import multiprocessing
import os
import signal
import sys
import threading
import time
from multiprocessing import util

import pytest

import hardstop
import jobs
from jobs import double, nested, pid_after, process_facts, say, say_and_sleep
from support import PATIENCE, alive, gone, run_script, said, until

_value = None


def set_value(value):
    global _value
    _value = value


def get_value():
    return _value


def fail_to_initialize(text):
    raise LookupError(text)


def take_id(ids):
    set_value(ids.get(timeout=5))


def hold(seconds):
    time.sleep(seconds)
    return get_value()


def use_queue(queue, lock, counter, event):
    set_value((queue, lock, counter, event))


def count_up():
    queue, lock, counter, event = get_value()
    with lock:
        counter.value += 1
    queue.put(os.getpid())
    event.set()


def fail_once(path):
    if os.path.exists(path):
        os.remove(path)
        raise LookupError("this once")


def fail_while(path):
    if os.path.exists(path):
        raise LookupError("still there")


def test_initializer_and_its_arguments(make_pool, method):
    pool = make_pool(2, method, initializer=set_value, initargs=({"a": 1},))
    assert pool.submit(get_value).result(PATIENCE) == {"a": 1}
    assert get_value() is None, "the client's own is untouched"


def test_locks_queues_and_events_through_initargs(make_pool, method):
    context = multiprocessing.get_context(method)
    queue, lock, counter = context.Queue(), context.Lock(), context.Value("i", 0)
    event = context.Event()
    pool = make_pool(2, method, initializer=use_queue, initargs=(queue, lock, counter, event))
    futures = [pool.submit(count_up) for _ in range(20)]
    concurrent.futures.wait(futures, PATIENCE)
    assert [future.result() for future in futures] == [None] * 20
    assert counter.value == 20
    assert event.is_set()
    pids = {queue.get(timeout=PATIENCE) for _ in range(20)}
    assert len(pids) <= 2
    queue.close()
    queue.join_thread()


def test_connections_through_initargs(make_pool, method):
    context = multiprocessing.get_context(method)
    ours, theirs = context.Pipe()
    pool = make_pool(1, method, initializer=set_value, initargs=(theirs,))
    assert pool.submit(_tell, "hello").result(PATIENCE) is None
    assert ours.recv() == "hello"
    ours.close()
    theirs.close()


def _tell(what):
    get_value().send(what)


def test_as_many_ids_as_workers(make_pool, method):
    """A spare that took one would leave a worker without."""
    context = multiprocessing.get_context(method)
    ids = context.Queue()
    for each in range(2):
        ids.put(each)
    pool = make_pool(2, method, initializer=take_id, initargs=(ids,))
    futures = [pool.submit(hold, 0.2) for _ in range(6)]
    assert {future.result(PATIENCE) for future in futures} == {0, 1}
    ids.close()
    ids.join_thread()


def test_a_failing_initializer_breaks_the_pool(make_pool, method, capfd):
    """Of the first generation; Deadpool ignores it."""
    pool = make_pool(2, method, initializer=fail_to_initialize, initargs=("not today",))
    futures = [pool.submit(double, 1) for _ in range(3)]
    for future in futures:
        error = future.exception(PATIENCE)
        assert isinstance(error, concurrent.futures.process.BrokenProcessPool)
        assert "not today" in str(error)
    with pytest.raises(concurrent.futures.process.BrokenProcessPool):
        pool.submit(double, 1)
    pool.shutdown()
    if method != "fork":  # there the log goes where pytest has turned it
        assert "not today" in capfd.readouterr().err


def test_a_later_failure_is_retried(make_pool, tmp_path):
    path = tmp_path / "fail"
    pool = make_pool(1, "fork", initializer=fail_once, initargs=(str(path),))
    assert pool.submit(double, 2).result(PATIENCE) == 4
    path.touch()
    assert isinstance(pool.submit(jobs.die).exception(PATIENCE), hardstop.WorkerDiedError)
    assert pool.submit(double, 3).result(PATIENCE) == 6
    assert not path.exists()


def test_an_unpicklable_initializer(make_pool):
    lock = threading.Lock()
    pool = make_pool(1, "spawn", initializer=lambda: lock)
    with pytest.raises(Exception, match="pickle"):
        pool.submit(double, 1)
    assert make_pool(1, "fork", initializer=lambda: lock).submit(double, 1).result() == 2


def test_initialized_spares(make_pool, tmp_path):
    pool = make_pool(1, "fork", spares="initialized", initializer=set_value, initargs=(5,))
    assert pool.submit(get_value).result(PATIENCE) == 5
    assert isinstance(pool.submit(jobs.die).exception(PATIENCE), hardstop.WorkerDiedError)
    assert pool.submit(get_value).result(PATIENCE) == 5


def test_a_finalizer(make_pool, tmp_path):
    path = str(tmp_path / "a")
    pool = make_pool(1, "fork", finalizer=lambda: say(path, "left"))
    pool.submit(double, 1).result()
    pool.shutdown()
    assert said(tmp_path / "a") == "left"


# --- multiprocessing


def test_current_and_parent_process(any_pool):
    facts = any_pool.submit(process_facts).result(PATIENCE)
    assert "Process-" in facts["name"]
    assert facts["daemon"] is False
    assert facts["authkey"] == bytes(multiprocessing.current_process().authkey)
    assert facts["parent"] == os.getpid()
    assert facts["parent alive"]
    assert not facts["has terminal"]
    assert facts["argv"] == sys.argv[:1]


def test_workers_have_names_of_their_own(make_pool, method, tmp_path):
    pool = make_pool(2, method)
    gate = tmp_path / "gate"
    futures = [pool.submit(_name_at, str(tmp_path / str(at)), str(gate)) for at in range(2)]
    said(tmp_path / "0")
    said(tmp_path / "1")
    gate.touch()
    assert len({future.result(PATIENCE) for future in futures}) == 2


def _name_at(path, gate):
    say(path)
    jobs.wait_for_file(gate)
    return multiprocessing.current_process().name


def test_nested_pools(any_pool, method):
    assert any_pool.submit(nested, method, 4).result(PATIENCE) == 8


def test_nested_pools_of_the_standard_library(any_pool, method):
    assert any_pool.submit(_nested_standard, method, 4).result(PATIENCE) == 8


def _nested_standard(method, number):
    context = multiprocessing.get_context(method)
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as inner:
        return inner.submit(double, number).result()


def test_a_cancelled_job_takes_its_own_pool_along(any_pool, tmp_path):
    """G2."""
    path = tmp_path / "a"
    future = any_pool.submit(_nested_sleeper, str(path))
    inner = int(said(path))
    future.cancel()
    concurrent.futures.wait([future], PATIENCE)
    assert future.cancelled()
    gone(inner)


def _nested_sleeper(path):
    with hardstop.ProcessPoolExecutor(1) as inner:
        inner.submit(say_and_sleep, path).result()


def test_processes_started_by_a_job(any_pool, tmp_path):
    path = tmp_path / "a"
    future = any_pool.submit(_start_process, str(path))
    child = int(said(path))
    future.cancel()
    concurrent.futures.wait([future], PATIENCE)
    assert not alive(child)


def _start_process(path):
    process = multiprocessing.get_context("fork").Process(target=say_and_sleep, args=(path,))
    process.start()
    process.join()


def test_finalize_functions_run_when_a_worker_leaves(make_pool, method, tmp_path):
    pool = make_pool(1, method)
    path = tmp_path / "a"
    pool.submit(_register, str(path)).result(PATIENCE)
    pool.shutdown()
    assert said(path) == "finalized"


def _register(path):
    util.Finalize(None, say, args=(path, "finalized"), exitpriority=10)


def test_max_tasks_per_child(make_pool):
    """gh-115634 hangs there."""
    for method in ("forkserver", "spawn"):
        pool = make_pool(1, method, max_tasks_per_child=2)
        pids = [pool.submit(pid_after).result(PATIENCE) for _ in range(6)]
        assert len(set(pids)) == 3
        assert pids[0] == pids[1] != pids[2]
    with pytest.raises(ValueError, match="incompatible"):
        make_pool(1, "fork", max_tasks_per_child=1)


def test_logging_through_a_queue(make_pool, method):
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    pool = make_pool(1, method, initializer=_log_to, initargs=(queue,))
    pool.submit(_log, "from the job").result(PATIENCE)
    record = queue.get(timeout=PATIENCE)
    assert record.getMessage() == "from the job"
    assert record.processName != multiprocessing.current_process().name
    queue.close()
    queue.join_thread()


def _log_to(queue):
    logging.getLogger().addHandler(logging.handlers.QueueHandler(queue))


def _log(text):
    logging.getLogger().error(text)


def test_environment(make_pool, method):
    os.environ["HARDSTOP_TEST_UNSET"] = "1"
    try:
        changes = {"HARDSTOP_TEST_SET": "x", "HARDSTOP_TEST_UNSET": None}
        pool = make_pool(1, method, environment=changes)
        assert pool.submit(os.getenv, "HARDSTOP_TEST_SET").result(PATIENCE) == "x"
        assert pool.submit(os.getenv, "HARDSTOP_TEST_UNSET").result(PATIENCE) is None
    finally:
        del os.environ["HARDSTOP_TEST_UNSET"]


def test_signal_handlers_are_as_multiprocessing_has_them(any_pool, method):
    here = {"SIGTERM": signal.getsignal(signal.SIGTERM), "SIGINT": signal.getsignal(signal.SIGINT)}
    there = any_pool.submit(_handlers).result(PATIENCE)
    assert there["SIGTERM"] == repr(here["SIGTERM"])
    assert "default_int_handler" in there["SIGINT"]
    assert there["mask"] == 0


def _handlers():
    return {
        "SIGTERM": repr(signal.getsignal(signal.SIGTERM)),
        "SIGINT": repr(signal.getsignal(signal.SIGINT)),
        "mask": len(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    }


def test_handlers_of_the_job_run(any_pool):
    assert any_pool.submit(_alarm).result(PATIENCE) == "rang"


def _alarm():
    rang = []
    signal.signal(signal.SIGALRM, lambda *_: rang.append("rang"))
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    while not rang:
        time.sleep(0.01)
    return rang[0]


def test_threads_of_a_job_run_on_between_jobs(make_pool, method, tmp_path):
    pool = make_pool(1, method)
    path = tmp_path / "a"
    pool.submit(_start_thread, str(path)).result(PATIENCE)
    assert said(path) == "thread"


def _start_thread(path):
    threading.Thread(target=lambda: (time.sleep(0.05), say(path, "thread")), daemon=True).start()


def test_standard_input_is_empty_and_output_is_the_clients(tmp_path):
    out = run_script(
        """
        import sys
        from hardstop import ProcessPoolExecutor
        def talk():
            print("from the job")
            return sys.stdin.read()
        print("before", end=" ")
        with ProcessPoolExecutor(1) as pool:
            print(repr(pool.submit(talk).result()))
        """,
        tmp_path,
    )
    assert out.count("from the job") == 1
    assert out.count("before") == 1
    assert "''" in out


def test_idle_workers_leave(make_pool):
    pool = make_pool(2, "fork", min_workers=0, idle_timeout=0.05, spares=0)
    pid = pool.submit(pid_after).result(PATIENCE)
    gone(pid)
    assert pool.submit(double, 1).result(PATIENCE) == 2


def test_current_job_outside_of_one():
    with pytest.raises(RuntimeError, match="outside"):
        hardstop.current_job()


def test_stats_count(pool):
    assert pool.stats() == {}
    futures = [pool.submit(double, at) for at in range(10)] + [pool.submit(jobs.fail)]
    concurrent.futures.wait(futures, PATIENCE)
    until(lambda: pool.stats()["running"] == 0)
    stats = pool.stats()
    assert stats["submitted"] == 11
    assert stats["ended"]["value"] == 10
    assert stats["ended"]["exception"] == 1
    pool.shutdown()
    assert pool.stats()["submitted"] == 11
    assert pool.stats()["workers"] == 0
