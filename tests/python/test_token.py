"""Cancel tokens: many jobs, in any process, one cancel."""

from __future__ import annotations

import concurrent.futures
import gc
import multiprocessing
import os
import pickle
import time
from pathlib import Path

import pytest

import hardstop
from hardstop import CancelToken, ProcessCancelledError, ProcessPoolExecutor, _killable

LIMIT = 30.0  # seconds that only a hang takes


def begin(path: str) -> None:
    Path(path).touch()
    time.sleep(1000)


def end_when_asked(path: str) -> str:
    Path(path).touch()
    while not hardstop.current_job().cancel_requested:
        time.sleep(0.001)
    return "ended by itself"


def wait_for(path: Path) -> None:
    give_up = time.monotonic() + LIMIT
    while not path.exists():
        assert time.monotonic() < give_up
        time.sleep(0.001)


def open_files() -> set[str]:
    return {
        os.readlink(f"/proc/self/fd/{name}")
        for name in os.listdir("/proc/self/fd")
        if _is_open(name)
    }


def _is_open(name: str) -> bool:
    return os.path.islink(f"/proc/self/fd/{name}")


def test_running_and_waiting_jobs_are_cancelled(tmp_path: Path) -> None:
    token = CancelToken()
    with ProcessPoolExecutor(1) as pool:
        jobs = [
            pool.options(cancel_on=token).submit(begin, str(tmp_path / str(number)))
            for number in range(3)
        ]
        other = pool.submit(pow, 2, 5)
        wait_for(tmp_path / "0")
        token.cancel()
        for job in jobs:
            with pytest.raises(ProcessCancelledError):
                job.result(LIMIT)
            assert job.cancelled()
        assert other.result(LIMIT) == 32
        assert not (tmp_path / "1").exists()


def test_jobs_that_come_after_it_never_start(tmp_path: Path) -> None:
    token = CancelToken()
    token.cancel()
    assert token.cancelled
    with ProcessPoolExecutor(1) as pool:
        for number in range(3):
            job = pool.options(cancel_on=token).submit(begin, str(tmp_path / str(number)))
            with pytest.raises(ProcessCancelledError):
                job.result(LIMIT)


def test_a_grace_is_given_on(tmp_path: Path) -> None:
    token = CancelToken()
    with ProcessPoolExecutor(1) as pool:
        job = pool.options(cancel_on=token).submit(end_when_asked, str(tmp_path / "begun"))
        wait_for(tmp_path / "begun")
        token.cancel(grace=LIMIT)
        assert job.result(LIMIT) == "ended by itself"
        assert not job.cancelled()


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_it_reaches_jobs_in_other_processes(method: str, tmp_path: Path) -> None:
    token = CancelToken()
    context = multiprocessing.get_context(method)
    with concurrent.futures.ProcessPoolExecutor(2, context) as host:
        jobs = [
            host.submit(
                hardstop.killable_wrapper,
                begin,
                str(tmp_path / str(number)),
                killable_wrapper_cancel_pipe=token,
            )
            for number in range(2)
        ]
        for number in range(2):
            wait_for(tmp_path / str(number))
        token.cancel()
        for job in jobs:
            with pytest.raises(ProcessCancelledError):
                job.result(LIMIT)


def test_only_its_maker_cancels(tmp_path: Path) -> None:
    copy = pickle.loads(pickle.dumps(CancelToken()))
    assert not copy.cancelled
    with pytest.raises(RuntimeError, match="made it"):
        copy.cancel()


def test_a_token_whose_maker_is_gone_does_nothing() -> None:
    told = pickle.dumps(CancelToken())
    gc.collect()
    orphan = pickle.loads(told)
    assert not orphan.cancelled
    with ProcessPoolExecutor(1) as pool:
        assert pool.options(cancel_on=orphan).submit(pow, 2, 5).result(LIMIT) == 32


def test_tokens_leave_no_descriptor() -> None:
    with ProcessPoolExecutor(1) as pool:
        for _ in range(3):
            token = CancelToken()
            job = pool.options(cancel_on=token).submit(pow, 2, 5)
            assert job.result(LIMIT) == 32
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(300):
            token = CancelToken()
            job = pool.options(cancel_on=token).submit(pow, 2, 5)
            assert job.result(LIMIT) == 32
        del token
        gc.collect()
        assert len(os.listdir("/proc/self/fd")) <= before + 2
    assert _killable._pool is None


def test_a_token_of_another_machine_is_refused() -> None:
    kind, (maker, number, identity, (_boot, namespace)) = CancelToken().__reduce__()
    foreign = kind(maker, number, identity, ("another boot", namespace))
    assert not foreign.cancelled
    for use in (
        lambda: hardstop.killable_wrapper(pow, 2, 5, killable_wrapper_cancel_pipe=foreign),
        lambda: ProcessPoolExecutor(1).options(cancel_on=foreign),
    ):
        with pytest.raises(RuntimeError, match="another machine"):
            use()
