"""Killable inside executors that are not ours."""

from __future__ import annotations

import concurrent.futures
import contextlib
import multiprocessing
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import pytest

import hardstop
from hardstop import ProcessCancelledError, ProcessTimeoutError, WorkerDiedError, _killable

LIMIT = 30.0  # seconds that only a hang takes

_set_up = None


def set_up(value: str) -> None:
    global _set_up
    _set_up = value


def what_was_set_up() -> str | None:
    return _set_up


def own_pid() -> int:
    return os.getpid()


def leave_a_daemon(path: str) -> None:
    daemon = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    Path(path).write_text(str(daemon.pid))
    time.sleep(1000)


def crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def refuse() -> None:
    raise LookupError("nothing here")


def large() -> bytes:
    return bytes(20 << 20)


def stubborn(path: str) -> str:
    Path(path).touch()
    while not hardstop.current_job().cancel_requested:
        time.sleep(0.001)
    return "ended by itself"


@hardstop.killable(timeout=0.2)
def sleeps_too_long() -> None:
    time.sleep(1000)


@hardstop.killable()
def doubled(number: int) -> int:
    return 2 * number


def is_gone(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    return True


@contextlib.contextmanager
def standard(method: str) -> Iterator[Executor]:
    context = multiprocessing.get_context(method)
    with concurrent.futures.ProcessPoolExecutor(
        1, context, initializer=set_up, initargs=("by the host",)
    ) as host:
        yield host


@contextlib.contextmanager
def threads() -> Iterator[Executor]:
    with concurrent.futures.ThreadPoolExecutor(
        4, initializer=set_up, initargs=("by the host",)
    ) as host:
        yield host


HOSTS = {
    "fork": lambda: standard("fork"),
    "forkserver": lambda: standard("forkserver"),
    "spawn": lambda: standard("spawn"),
    "threads": threads,
}


@pytest.fixture(autouse=True)
def local_pool_ends() -> Iterator[None]:
    """The pool of this very process, where threads are the host, lives as long as it otherwise."""
    yield
    if (pool := _killable._pool) is not None:
        pool.shutdown()
        _killable._forget()


@pytest.fixture(params=HOSTS)
def host(request: pytest.FixtureRequest) -> Iterator[Executor]:
    with HOSTS[request.param]() as made:
        yield made


def wrapped(host: Executor, *args: Any, **kwargs: Any) -> Any:
    return host.submit(hardstop.killable_wrapper, *args, **kwargs)


def test_a_time_limit_leaves_the_hosts_worker_alone(host: Executor) -> None:
    before = host.submit(own_pid).result(LIMIT)
    job = wrapped(host, time.sleep, 1000.0, killable_wrapper_timeout=0.2)
    with pytest.raises(ProcessTimeoutError):
        job.result(LIMIT)
    assert host.submit(own_pid).result(LIMIT) == before


def test_the_tree_is_gone(host: Executor, tmp_path: Path) -> None:  # G2
    noted = tmp_path / "pid"
    job = wrapped(host, leave_a_daemon, str(noted), killable_wrapper_timeout=1.0)
    with pytest.raises(ProcessTimeoutError):
        job.result(LIMIT)
    assert is_gone(int(noted.read_text()))


def test_what_the_initializer_did_is_there(host: Executor) -> None:
    assert wrapped(host, what_was_set_up).result(LIMIT) == "by the host"


def test_ends_of_all_kinds_come_back(host: Executor) -> None:
    with pytest.raises(LookupError, match="nothing here") as caught:
        wrapped(host, refuse).result(LIMIT)
    assert caught.value.__cause__ is not None
    with pytest.raises(WorkerDiedError, match="SIGSEGV|Segmentation"):
        wrapped(host, crash).result(LIMIT)
    assert len(wrapped(host, large).result(LIMIT)) == 20 << 20


def test_later_calls_reuse_the_process(host: Executor) -> None:
    first = wrapped(host, own_pid).result(LIMIT)
    assert first != host.submit(own_pid).result(LIMIT)
    assert wrapped(host, own_pid).result(LIMIT) == first


def test_a_pipe_cancels_with_a_grace(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    ours, theirs = multiprocessing.Pipe()
    with concurrent.futures.ThreadPoolExecutor(1) as host:
        job = wrapped(host, stubborn, str(begun), killable_wrapper_cancel_pipe=theirs)
        while not begun.exists():
            time.sleep(0.001)
        ours.send({"cancel_timeout": LIMIT})
        assert job.result(LIMIT) == "ended by itself"


def test_a_pipe_that_is_inherited_cancels_in_a_process() -> None:
    ours, theirs = multiprocessing.Pipe()
    manager = multiprocessing.get_context("fork")
    with manager.Pool(1) as host:  # its workers are daemonic: no children of multiprocessing's
        job = host.apply_async(
            hardstop.killable_wrapper,
            (time.sleep, 1000.0),
            {"killable_wrapper_cancel_pipe": theirs},
        )
        ours.send({"cancel_timeout": 0.0})
        with pytest.raises(ProcessCancelledError):
            job.get(LIMIT)


def test_four_calls_run_at_once(tmp_path: Path) -> None:
    together = threading.Barrier(4, timeout=LIMIT)

    def call() -> int:
        together.wait()
        return hardstop.killable_wrapper(own_pid)

    with concurrent.futures.ThreadPoolExecutor(4) as host:
        pids = [job.result(LIMIT) for job in [host.submit(call) for _ in range(4)]]
    assert os.getpid() not in pids


def test_the_decorator(host: Executor) -> None:
    assert host.submit(doubled, 21).result(LIMIT) == 42
    with pytest.raises(ProcessTimeoutError):
        host.submit(sleeps_too_long).result(LIMIT)


def test_nothing_is_left_when_the_host_is_killed(tmp_path: Path) -> None:  # G5
    noted = tmp_path / "pid"
    with concurrent.futures.ProcessPoolExecutor(1) as host:
        pid = host.submit(own_pid).result(LIMIT)
        job = wrapped(host, leave_a_daemon, str(noted))
        while not (noted.exists() and noted.read_text()):
            time.sleep(0.001)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(concurrent.futures.process.BrokenProcessPool):
            job.result(LIMIT)
    give_up = time.monotonic() + LIMIT
    while not is_gone(int(noted.read_text())):
        assert time.monotonic() < give_up
        time.sleep(0.001)
