"""killable_wrapper in every executor that is installed: the same stop in all of them."""

from __future__ import annotations

import concurrent.futures
import contextlib
import importlib.util
import multiprocessing
import os
import pickle
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import hardstop
from hardstop import CancelToken, ProcessCancelledError, ProcessTimeoutError, WorkerDiedError
from jobs import daemonize, fail, say, say_and_sleep, segfault
from support import HERE, PATIENCE, alive, gone, marked, said, script, until
from test_killable import local_pool_ends  # noqa: F401 - a fixture

Submit = Callable[..., Any]  # like Executor.submit: something with result(timeout)


class _Applied:
    """A result of multiprocessing.Pool, as a future."""

    def __init__(self, applied: Any) -> None:
        self._applied = applied

    def result(self, timeout: float) -> Any:
        return self._applied.get(timeout)


@contextlib.contextmanager
def standard(method: str, workers: int) -> Iterator[Submit]:
    context = multiprocessing.get_context(method)
    with concurrent.futures.ProcessPoolExecutor(workers, context) as host:
        yield host.submit


@contextlib.contextmanager
def threads(workers: int) -> Iterator[Submit]:
    with concurrent.futures.ThreadPoolExecutor(workers) as host:
        yield host.submit


@contextlib.contextmanager
def pool_of_daemons(workers: int) -> Iterator[Submit]:
    """Its workers may not have children of multiprocessing's."""
    with multiprocessing.get_context("fork").Pool(workers) as host:
        yield lambda fn, *args, **kwargs: _Applied(host.apply_async(fn, args, kwargs))


@contextlib.contextmanager
def loky(workers: int) -> Iterator[Submit]:
    """What joblib runs its jobs in."""
    module = pytest.importorskip("joblib.externals.loky", reason="joblib is not installed")
    host = module.ProcessPoolExecutor(workers)
    try:
        yield host.submit
    finally:
        host.shutdown(kill_workers=True)


@contextlib.contextmanager
def dask(workers: int) -> Iterator[Submit]:
    distributed = pytest.importorskip("distributed", reason="Dask is not installed")
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=workers, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield lambda fn, *args, **kwargs: client.submit(fn, *args, **kwargs, pure=False)


class _Ref:
    def __init__(self, ref: Any) -> None:
        self._ref = ref

    def result(self, timeout: float) -> Any:
        import ray

        try:
            return ray.get(self._ref, timeout=timeout)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from error


@contextlib.contextmanager
def ray_tasks(workers: int) -> Iterator[Submit]:
    ray = pytest.importorskip(
        "ray", reason="Ray is not installed: it is 80 MB, for this test alone"
    )
    there = {"env_vars": {"PYTHONPATH": str(HERE)}}
    ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False, runtime_env=there)
    call = ray.remote(max_retries=0)(_call)
    try:
        yield lambda fn, *args, **kwargs: _Ref(call.remote(fn, args, kwargs))
    finally:
        ray.shutdown()


def _call(fn: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    return fn(*args, **kwargs)


HOSTS: dict[str, Callable[[int], contextlib.AbstractContextManager[Submit]]] = {
    "fork": lambda workers: standard("fork", workers),
    "forkserver": lambda workers: standard("forkserver", workers),
    "spawn": lambda workers: standard("spawn", workers),
    "threads": threads,
    "multiprocessing.Pool": pool_of_daemons,
    "loky": loky,
    "dask": dask,
    "ray": ray_tasks,
}
# Those that pickle as multiprocessing does, or not at all.
CARRY_PIPES = ("fork", "forkserver", "spawn", "threads", "multiprocessing.Pool", "loky")


@pytest.fixture(
    scope="module",
    params=HOSTS,
)
def host(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Submit]]:
    """Four workers each, all of them there."""
    with HOSTS[request.param](4) as submit:
        folder = str(tmp_path_factory.mktemp("warm"))
        for job in [submit(meet, folder, number, 4) for number in range(4)]:
            job.result(PATIENCE)
        yield request.param, submit


@pytest.fixture
def wrapped(host: tuple[str, Submit]) -> Submit:
    _name, submit = host
    return lambda *args, **kwargs: submit(hardstop.killable_wrapper, *args, **kwargs)


def told_with(error: BaseException) -> str:
    """What a traceback of it would say."""
    return "".join(traceback.format_exception(type(error), error, error.__traceback__))


def large(size: int) -> bytes:
    return bytes(size)


def meet(folder: str, me: int, others: int) -> int:
    """Ends when so many of them run at the same time."""
    say(f"{folder}/{me}")
    until(lambda: all(os.path.exists(f"{folder}/{each}") for each in range(others)))
    return os.getpid()


def test_a_time_limit_stops_the_tree(wrapped: Submit, tmp_path: Path) -> None:  # G2
    job = wrapped(daemonize, str(tmp_path / "pid"), killable_wrapper_timeout=1.0)
    with pytest.raises(ProcessTimeoutError, match="1 s") as caught:
        job.result(PATIENCE)
    assert caught.value.outcome is not None and caught.value.outcome.kind == "timed out"
    assert not alive(int(said(tmp_path / "pid")))


def test_a_token_stops_the_tree(wrapped: Submit, tmp_path: Path) -> None:  # G2, G3
    token, other = CancelToken(), CancelToken()
    job = wrapped(daemonize, str(tmp_path / "pid"), killable_wrapper_cancel_pipe=token)
    beside = wrapped(say_and_sleep, str(tmp_path / "beside"), killable_wrapper_cancel_pipe=other)
    pids = int(said(tmp_path / "pid")), int(said(tmp_path / "beside"))
    token.cancel()
    with pytest.raises(ProcessCancelledError):
        job.result(PATIENCE)
    assert [alive(pid) for pid in pids] == [False, True]
    other.cancel()
    with pytest.raises(ProcessCancelledError):
        beside.result(PATIENCE)


def test_a_pipe_stops_it_or_is_refused(
    host: tuple[str, Submit], wrapped: Submit, tmp_path: Path
) -> None:
    ours, theirs = multiprocessing.Pipe()
    if host[0] not in CARRY_PIPES:
        with pytest.raises(TypeError) as refused:
            wrapped(pow, 2, 5, killable_wrapper_cancel_pipe=theirs).result(PATIENCE)
        assert "Connection" in told_with(refused.value)
        assert "give it a hardstop.CancelToken" in told_with(refused.value)
        return
    job = wrapped(daemonize, str(tmp_path / "pid"), killable_wrapper_cancel_pipe=theirs)
    pid = int(said(tmp_path / "pid"))
    ours.send({"cancel_timeout": 0.0})
    with pytest.raises(ProcessCancelledError):
        job.result(PATIENCE)
    assert not alive(pid)


def test_other_ends(wrapped: Submit) -> None:  # G1
    with pytest.raises(ValueError, match="no"):
        wrapped(fail).result(PATIENCE)
    with pytest.raises(WorkerDiedError, match="SIGSEGV|Segmentation") as died:
        wrapped(segfault).result(PATIENCE)
    assert died.value.outcome is not None and died.value.outcome.signal == signal.SIGSEGV
    assert len(wrapped(large, 20 << 20).result(PATIENCE)) == 20 << 20


def test_four_calls_run_at_once(wrapped: Submit, tmp_path: Path) -> None:
    jobs = [wrapped(meet, str(tmp_path), number, 4) for number in range(4)]
    assert len({job.result(PATIENCE) for job in jobs}) == 4


def test_the_hosts_worker_goes_on(host: tuple[str, Submit], wrapped: Submit) -> None:
    """Its pool is made once, and is the same after a kill."""
    _name, submit = host
    with pytest.raises(ProcessTimeoutError):
        wrapped(time.sleep, 600, killable_wrapper_timeout=0.05).result(PATIENCE)
    assert submit(pow, 2, 5).result(PATIENCE) == 32
    assert wrapped(pow, 2, 5).result(PATIENCE) == 32


KILLED_HOST = """
import sys, time
from test_hosts import HOSTS
from jobs import daemonize
import hardstop, os
from support import said

if __name__ == "__main__":
    with HOSTS[sys.argv[1]](1) as submit:
        print(submit(os.getpid).result(60), flush=True)
        job = submit(hardstop.killable_wrapper, daemonize, sys.argv[2])
        said(sys.argv[2])
        print("runs", flush=True)
        time.sleep(600)
"""


@pytest.mark.parametrize("name", [name for name in HOSTS if name != "threads"])
def test_nothing_is_left_of_a_killed_host(name: str, tmp_path: Path) -> None:  # G5
    if name == "ray" and importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed: it is 80 MB, for this test alone")
    with script(KILLED_HOST, tmp_path, name, str(tmp_path / "pid")) as program:
        worker = int(until(program.line))
        assert program.line() == "runs"
        daemon = int(said(tmp_path / "pid"))
        os.kill(worker, signal.SIGKILL)
        gone(daemon)
        if name == "loky":  # its resource tracker, which must not be killed, removes semaphores
            program.process.kill()
            program.all_gone()


def test_nothing_is_left_of_a_killed_program_with_threads(tmp_path: Path) -> None:  # G5
    with script(KILLED_HOST, tmp_path, "threads", str(tmp_path / "pid")) as program:
        program.line()
        assert program.line() == "runs"
        program.process.kill()
        until(lambda: not marked(program.mark), "all of it to be gone")


def test_joblib_runs_it(tmp_path: Path) -> None:
    joblib = pytest.importorskip("joblib", reason="joblib is not installed")
    from joblib.externals.loky import get_reusable_executor

    call = joblib.delayed(hardstop.killable_wrapper)
    try:
        assert joblib.Parallel(2)(call(pow, each, 2) for each in range(4)) == [0, 1, 4, 9]
        with pytest.raises(ProcessTimeoutError):
            late = call(daemonize, str(tmp_path / "pid"), killable_wrapper_timeout=1.0)
            joblib.Parallel(2)([late, call(pow, 2, 5)])
        assert not alive(int(said(tmp_path / "pid")))
    finally:
        get_reusable_executor().shutdown(kill_workers=True)


def test_what_is_no_pipe_is_refused() -> None:
    with pytest.raises(TypeError, match=r"'stop'.*pow.*CancelToken"):
        hardstop.killable_wrapper(pow, 2, 5, killable_wrapper_cancel_pipe="stop")  # type: ignore[arg-type]


def test_plain_pickle_refuses_a_connection() -> None:
    """It would carry the descriptor's number and nothing else."""
    ours, _theirs = multiprocessing.Pipe()
    with pytest.raises(TypeError, match="CancelToken"):
        pickle.dumps(ours)
