"""Jobs and events that peers do not survive. G1 to G4, G6 and G12, through Python."""

from __future__ import annotations

import concurrent.futures
import os
import random
import signal
import threading
import time

import pytest

import hardstop
import jobs
from hardstop import ProcessCancelledError, ProcessTimeout, ProcessTimeoutError, WorkerDiedError
from jobs import double, identity, pid_after, say, say_and_sleep, wait_for_file
from support import (
    PATIENCE,
    alive,
    descendants,
    gone,
    guardians,
    our_mappings,
    pool_processes,
    running,
    said,
    until,
)

VILLAINS = [
    jobs.hold_the_gil,
    jobs.hold_the_gil_in_re,
    jobs.ignore_all,
    jobs.stop_itself,
    jobs.session_of_its_own,
    jobs.daemonize,
]


@pytest.mark.parametrize("villain", VILLAINS)
def test_cancelled(villain, any_pool, tmp_path):
    """G2, and the next job runs."""
    path = tmp_path / "a"
    future = any_pool.submit(villain, str(path))
    pid = int(said(path))
    below = descendants(future.pid) | {pid, future.pid}
    assert future.cancel()
    with pytest.raises(ProcessCancelledError):
        future.result(PATIENCE)
    assert not [each for each in below if alive(each)]
    assert any_pool.submit(double, 2).result(PATIENCE) == 4


@pytest.mark.parametrize("villain", VILLAINS)
def test_timed_out(villain, any_pool, tmp_path):
    """G6: where the GIL is held, Deadpool's time-out never fires."""
    path = tmp_path / "a"
    future = any_pool.submit(villain, str(path), ProcessTimeout(0.4))
    with pytest.raises(ProcessTimeoutError):
        future.result(PATIENCE)
    if path.exists():
        assert not alive(int(said(path)))
    assert any_pool.submit(double, 2).result(PATIENCE) == 4


@pytest.mark.parametrize(
    ("end", "args", "signal_number", "exit_code"),
    [
        (jobs.segfault, (), signal.SIGSEGV, None),
        (jobs.die, (signal.SIGABRT,), signal.SIGABRT, None),
        (jobs.leave, (0,), None, 0),
        (jobs.leave, (7,), None, 7),
        (jobs.leave_in_a_thread, (9,), None, 9),
    ],
)
def test_worker_dies(end, args, signal_number, exit_code, any_pool):
    future = any_pool.submit(end, *args)
    error = future.exception(PATIENCE)
    assert isinstance(error, WorkerDiedError)
    assert error.outcome.signal == signal_number
    assert error.outcome.exit_code == exit_code
    assert any_pool.submit(double, 2).result(PATIENCE) == 4


def test_a_memory_hog(make_pool):
    pool = make_pool(1, max_memory=128 << 20)
    future = pool.submit(jobs.eat_memory, 2 << 30)
    assert isinstance(future.exception(PATIENCE), MemoryError)
    assert pool.submit(double, 2).result(PATIENCE) == 4


def test_fork_in_a_job(any_pool):
    """The child that comes back from the job is no worker."""
    assert any_pool.submit(jobs.fork_and_leave, 5).result(PATIENCE) == 5
    for _ in range(10):
        future = any_pool.submit(jobs.fork_and_return)
        assert future.result(PATIENCE) == future.pid
    assert any_pool.submit(double, 2).result(PATIENCE) == 4


def test_leftovers(pool, tmp_path):
    path = tmp_path / "a"
    pool.options(leftovers="kill").submit(_leave_behind, str(path)).result(PATIENCE)
    assert not alive(int(said(path)))


def _leave_behind(path):
    if os.fork() == 0:
        os.setsid()
        say_and_sleep(path)
    wait_for_file(path)


def test_idle_worker_killed(any_pool):
    """Breaks or deadlocks the standard library, loky, pebble and billiard. G4."""
    for _ in range(5):
        pid = any_pool.submit(pid_after).result(PATIENCE)
        os.kill(pid, signal.SIGKILL)
        gone(pid)
        assert [any_pool.submit(double, at).result(PATIENCE) for at in range(5)] == [0, 2, 4, 6, 8]


def test_a_crash_with_a_hundred_queued(any_pool):
    futures = [any_pool.submit(double, at) for at in range(50)]
    crash = any_pool.submit(jobs.segfault)
    futures += [any_pool.submit(double, at) for at in range(50, 100)]
    assert isinstance(crash.exception(PATIENCE), WorkerDiedError)
    assert [future.result(PATIENCE) for future in futures] == list(range(0, 200, 2))


def test_killed_while_it_reads(any_pool):
    """Its arguments are large, and whatever happens happens to it alone."""
    big = bytes(30 << 20)
    for _ in range(3):
        pid = any_pool.submit(pid_after).result(PATIENCE)
        future = any_pool.submit(len, big)
        os.kill(pid, signal.SIGKILL)
        assert future.exception(PATIENCE) is None or isinstance(future.exception(), WorkerDiedError)
        assert any_pool.submit(double, 2).result(PATIENCE) == 4


def test_killed_while_it_writes_600_megabytes(pool, tmp_path):
    """There every future hangs for ever."""
    for delay in (0.0, 0.02, 0.1, 0.2):
        path = tmp_path / str(delay)
        future = pool.submit(_large_result, str(path))
        pid = int(said(path))
        time.sleep(delay)  # somewhere within it; each place is as good
        if alive(pid):
            os.kill(pid, signal.SIGKILL)
        error = future.exception(PATIENCE)
        assert error is None or isinstance(error, WorkerDiedError)
        del future
        assert pool.submit(double, 2).result(PATIENCE) == 4


def _large_result(path):
    made = bytes(600 << 20)
    say(path)
    return made


def test_a_job_that_closes_all_descriptors(any_pool):
    any_pool.submit(os.closerange, 3, 1000).exception(PATIENCE)
    assert any_pool.submit(double, 2).result(PATIENCE) == 4


def test_a_job_that_scribbles_over_its_memory(any_pool):
    """G12: what a wild worker leaves behind kills it, never the client."""
    for seed in range(4):
        error = any_pool.submit(_scribble, seed).exception(PATIENCE)
        assert error is None or isinstance(error, Exception)
        assert any_pool.submit(double, 2).result(PATIENCE) == 4


def _scribble(seed):
    import ctypes

    random.seed(seed)
    with open("/proc/self/maps") as maps:
        ranges = [line.split() for line in maps if "memfd:hardstop-lane" in line]
    for where in ranges:
        begin, end = (int(each, 16) for each in where[0].split("-"))
        if "w" in where[1]:
            for _ in range(200):
                ctypes.memset(random.randrange(begin, end - 8), random.randrange(256), 8)


def test_neighbours_are_unharmed(make_pool, tmp_path):
    """G4: a villain dies again and again beside a job that runs."""
    pool = make_pool(2)
    gate = tmp_path / "gate"
    neighbour = pool.submit(wait_for_file, str(gate))
    running(neighbour)
    for at in range(20):
        villain = pool.submit(jobs.ignore_all, str(tmp_path / f"v{at}"))
        said(tmp_path / f"v{at}")
        villain.cancel()
        with pytest.raises(ProcessCancelledError):
            villain.result(PATIENCE)
    gate.touch()
    assert neighbour.result(PATIENCE) == str(gate)


def test_stopping_a_finished_future_hurts_nobody(pool, tmp_path):
    """Deadpool kills an unrelated job. G3."""
    done = [pool.submit(double, at) for at in range(20)]
    concurrent.futures.wait(done, PATIENCE)
    gate = tmp_path / "gate"
    runs = [pool.submit(wait_for_file, str(gate)) for _ in range(2)]
    for each in runs:
        running(each)
    for each in done:
        assert not each.cancel()
        assert not each.kill()
    gate.touch()
    assert [each.result(PATIENCE) for each in runs] == [str(gate)] * 2


@pytest.mark.parametrize("spinning", [False, True])
def test_guardian_killed(spinning, any_pool, tmp_path):
    """The job that ran is told as dead, its processes are gone, and the pool begins anew; also
    while threads of the client hold the GIL by turns."""
    assert any_pool.submit(double, 1).result(PATIENCE) == 2
    stop = threading.Event()
    threads = [threading.Thread(target=_spin, args=(stop,)) for _ in range(2 if spinning else 0)]
    for thread in threads:
        thread.start()
    try:
        for at in range(3):
            path = tmp_path / str(at)
            future = any_pool.submit(say_and_sleep, str(path))
            pid = int(said(path))
            os.kill(guardians(os.getpid())[0], signal.SIGKILL)
            assert isinstance(future.exception(PATIENCE), WorkerDiedError)
            assert not alive(pid)
            assert any_pool.submit(double, at).result(PATIENCE) == 2 * at
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _spin(stop):
    while not stop.is_set():
        sum(range(2000))


def test_everything_of_it_killed(any_pool):
    """One process after the other; the pool outlives them all."""
    for _ in range(2):
        assert any_pool.submit(double, 1).result(PATIENCE) == 2
        for pid in sorted(pool_processes(os.getpid())):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            assert any_pool.submit(double, 3).result(PATIENCE) in (6,)


def _finish_line(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass
    return os.getpid()


def cancel_at_the_finish_line(pool, times):
    """Each ends with its own value or as cancelled, whatever comes first. G1, G3."""
    rng = random.Random(1)
    counts = {"value": 0, "cancelled": 0}
    for at in range(times):
        future = pool.submit(identity, at)
        neighbour = pool.submit(identity, -at)
        end = time.perf_counter() + rng.random() * 300e-6
        while time.perf_counter() < end:
            pass
        said_so = future.cancel()
        try:
            assert future.result(PATIENCE) == at
            counts["value"] += 1
            assert not future.cancelled()
        except ProcessCancelledError:
            counts["cancelled"] += 1
            assert said_so
            assert future.cancelled()
        assert neighbour.result(PATIENCE) == -at
    return counts


def test_cancel_at_the_finish_line(pool):
    counts = cancel_at_the_finish_line(pool, 500)
    assert sum(counts.values()) == 500


@pytest.mark.slow
def test_cancel_at_the_finish_line_ten_thousand_times(make_pool, method):
    pool = make_pool(2, method)
    # Each worker that is killed is a new interpreter there.
    times = 2_000 if method == "spawn" else 10_000
    counts = cancel_at_the_finish_line(pool, times)
    # How many, the load of the machine decides.
    assert counts["value"] > 0
    assert counts["cancelled"] > 0


def kill_storm(pool, seconds, jobs_at_once=20, longest_pause=0.02):
    """Workers are killed at random; each future ends in one way, and values are right. G1, G4."""
    rng = random.Random(2)
    stop = threading.Event()
    kills = [0]

    def killer():
        while not stop.is_set():
            victims = [pid for pid in pool_processes(os.getpid()) if pid % 1 == 0]
            workers = [pid for pid in victims if _is_worker(pid)]
            if workers:
                try:
                    os.kill(rng.choice(workers), signal.SIGKILL)
                    kills[0] += 1
                except ProcessLookupError:
                    pass
            time.sleep(rng.random() * longest_pause)

    thread = threading.Thread(target=killer)
    thread.start()
    ended = {"value": 0, "died": 0, "cancelled": 0}
    try:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            futures = [
                pool.submit(identity, (at, b"x" * rng.randrange(100_000)))
                for at in range(jobs_at_once)
            ]
            futures[rng.randrange(jobs_at_once)].cancel()
            for at, future in enumerate(futures):
                try:
                    assert future.result(PATIENCE)[0] == at
                    ended["value"] += 1
                except WorkerDiedError:
                    ended["died"] += 1
                except ProcessCancelledError:
                    ended["cancelled"] += 1
    finally:
        stop.set()
        thread.join()
    assert pool.submit(double, 2).result(PATIENCE) == 4
    return ended, kills[0]


def _is_worker(pid):
    try:
        with open(f"/proc/{pid}/comm") as comm:
            return comm.read().strip() == "hardstop-worker"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_kill_storm(pool):
    ended, kills = kill_storm(pool, 1.0)
    assert ended["value"] > 0
    assert kills > 0


@pytest.mark.slow
def test_long_kill_storm(make_pool, method):
    # A new interpreter takes longer to start than a fork: some must live to take a job.
    pause = 1.0 if method == "spawn" else 0.02
    ended, kills = kill_storm(make_pool(2, method), 20.0, longest_pause=pause)
    assert ended["value"] > 0
    assert kills > 10


def test_cancel_storm_leaves_nothing(make_pool, tmp_path):
    """Mappings and descriptors of the killed are given back."""
    pool = make_pool(2)
    pool.submit(double, 1).result()
    for at in range(30):
        future = pool.submit(say_and_sleep, str(tmp_path / str(at)))
        said(tmp_path / str(at))
        future.cancel()
        with pytest.raises(ProcessCancelledError):
            future.result(PATIENCE)
    until(lambda: our_mappings() <= 15)
    until(lambda: len(pool_processes(os.getpid())) <= 5)


def test_a_pool_is_replaced_thousands_of_times_in_order(make_pool):
    """Every job on a new worker: births and ends take turns."""
    pool = make_pool(1, "forkserver", max_tasks_per_child=1)
    pids = [pool.submit(pid_after).result(PATIENCE) for _ in range(60)]
    assert len(set(pids)) == 60


def test_hardstop_errors_are_documented_classes():
    assert issubclass(hardstop.ProcessCancelledError, concurrent.futures.CancelledError)
    assert issubclass(hardstop.ProcessTimeoutError, TimeoutError)
    assert issubclass(hardstop.ProcessTimeoutError, concurrent.futures.TimeoutError)
    assert issubclass(hardstop.WorkerDiedError, concurrent.futures.process.BrokenProcessPool)
    assert issubclass(hardstop.ProcessMemoryError, MemoryError)
