"""Celery tasks that really stop: a real worker, a real Redis."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

celery = pytest.importorskip(
    "celery", reason="Celery is not installed: pip install 'hardstop[celery]'"
)
pytest.importorskip("redis", reason="Redis' client is not installed: pip install redis")

import kombu  # noqa: E402

import hardstop  # noqa: E402
from support import HERE, PATIENCE, alive, environment, marked, run_script, said, until  # noqa: E402

pytestmark = [
    pytest.mark.skipif(
        shutil.which("redis-server") is None,
        reason="there is no redis-server: apt-get install redis-server",
    ),
]


@contextlib.contextmanager
def redis() -> Iterator[str]:
    """A server of our own at a socket of its own; its address as Celery writes it."""
    with tempfile.TemporaryDirectory(prefix="hardstop-redis-") as folder:
        where = Path(folder) / "socket"
        server = subprocess.Popen(
            [
                "redis-server",
                "--port",
                "0",
                "--unixsocket",
                str(where),
                "--save",
                "",
                "--dir",
                folder,
            ],
            stdout=subprocess.DEVNULL,
        )
        try:
            until(where.exists, "redis to listen")
            yield f"redis+socket://{where}"
        finally:
            server.terminate()
            server.wait()


class Worker:
    """A Celery worker with prefork children."""

    def __init__(
        self,
        app: Any,
        mark: str,
        queue: str = "celery",
        visibility: str = "3600",
        children: int = 1,
    ) -> None:
        self.app = app
        self.queue = queue
        self.mark = mark
        command = [sys.executable, "-m", "celery", "-A", "celery_app", "worker"]
        options = [
            f"--concurrency={children}",
            "--loglevel=ERROR",
            "--without-gossip",
            "--without-mingle",
        ]
        self.process = subprocess.Popen(
            [*command, *options, f"--hostname={mark}@%h", f"--queues={queue}"],
            cwd=HERE,
            env={
                **environment(mark),
                "HARDSTOP_TEST_VISIBILITY": visibility,
                "C_FORCE_ROOT": "1",  # as root it refuses to read pickles otherwise
            },
        )

    def child(self) -> int:
        task = self.app.tasks["celery_app.own_pid"].apply_async(queue=self.queue)
        pid: int = task.get(PATIENCE)
        return pid

    def kill(self) -> None:
        self.process.kill()
        for pid in marked(self.mark):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="module")
def app() -> Iterator[Any]:
    with redis() as address, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARDSTOP_TEST_REDIS", address)
        patch.delitem(sys.modules, "celery_app", raising=False)
        import celery_app

        yield celery_app.app
        celery_app.app.close()


@pytest.fixture(scope="module")
def worker(app: Any) -> Iterator[Worker]:
    made = Worker(app, f"celery-{os.getpid()}")
    made.child()
    yield made
    made.process.terminate()
    made.process.wait()
    until(lambda: not marked(made.mark), "the worker's processes to end")


def run(worker: Worker, task: str, *args: Any, **options: Any) -> Any:
    return worker.app.tasks[f"celery_app.{task}"].apply_async(args, **options)


def test_ends_of_all_kinds(worker: Worker, tmp_path: Path) -> None:  # G1
    before = worker.child()
    assert run(worker, "call", "double", 21).get(PATIENCE) == 42
    with pytest.raises(ValueError, match="no"):
        run(worker, "call", "fail").get(PATIENCE)
    with pytest.raises(hardstop.WorkerDiedError, match="Segmentation|SIGSEGV"):
        run(worker, "call", "segfault").get(PATIENCE)
    with pytest.raises(hardstop.JobStoppedError, match="memory"):
        run(worker, "eat", 1 << 30).get(PATIENCE)
    assert run(worker, "fail_twice", str(tmp_path / "tries")).get(PATIENCE) == 3
    assert worker.child() == before


def test_revoke_stops_the_tree_and_not_the_child(worker: Worker, tmp_path: Path) -> None:  # G2
    before = worker.child()
    for number, job in enumerate(("daemonize", "ignore_all", "hold_the_gil")):
        task = run(worker, "call", job, str(tmp_path / str(number)))
        pid = int(said(tmp_path / str(number)))
        task.revoke(terminate=True)
        with pytest.raises(celery.exceptions.TaskRevokedError, match="was killed after"):
            task.get(PATIENCE)
        assert task.state == "REVOKED"
        assert not alive(pid)
        assert worker.child() == before


def test_a_task_that_finishes_in_its_grace_succeeds(worker: Worker, tmp_path: Path) -> None:
    task = run(worker, "call_politely", "stop_when_asked", str(tmp_path / "begun"))
    said(tmp_path / "begun")
    task.revoke(terminate=True)
    assert task.get(PATIENCE) == "stopped"


def test_a_task_that_is_revoked_before_it_starts(worker: Worker, tmp_path: Path) -> None:
    first = run(worker, "call", "say_and_sleep", str(tmp_path / "first"))
    said(tmp_path / "first")
    second = run(worker, "call", "say_and_sleep", str(tmp_path / "second"))
    second.revoke(terminate=True)
    until(lambda: _is_revoked(worker, second.id), "the worker to hear of it")
    first.revoke(terminate=True)
    for task in (first, second):
        with pytest.raises(celery.exceptions.TaskRevokedError):
            task.get(PATIENCE)
    assert not (tmp_path / "second").exists()


def _is_revoked(worker: Worker, task_id: str) -> bool:
    told = worker.app.control.inspect(timeout=1).revoked() or {}
    return any(task_id in ids for ids in told.values())


def test_time_limits(worker: Worker, tmp_path: Path) -> None:  # G2
    before = worker.child()
    paths = [tmp_path / str(number) for number in range(3)]
    own = run(worker, "call_for_a_second", "daemonize", str(paths[0]))
    of_message = run(worker, "call", "daemonize", str(paths[1]), time_limit=1.0)
    for task in (own, of_message):
        with pytest.raises(hardstop.ProcessTimeoutError, match="limit of 1 s"):
            task.get(PATIENCE)
        assert task.state == "FAILURE"
    for path in paths[:2]:
        assert not alive(int(said(path)))
    assert run(worker, "call_softly", "stop_when_asked", str(paths[2])).get(PATIENCE) == "stopped"
    hangs = run(worker, "call", "say_and_sleep", str(tmp_path / "soft"), soft_time_limit=0.5)
    with pytest.raises(celery.exceptions.SoftTimeLimitExceeded):
        hangs.get(PATIENCE)
    assert not alive(int(said(tmp_path / "soft")))
    assert worker.child() == before


def test_a_late_acknowledgement_comes_at_the_end(worker: Worker, tmp_path: Path) -> None:
    task = run(worker, "call_late", "say_and_sleep", str(tmp_path / "pid"))
    pid = int(said(tmp_path / "pid"))
    assert _unacknowledged(worker) == 1
    task.revoke(terminate=True)
    with pytest.raises(celery.exceptions.TaskRevokedError):
        task.get(PATIENCE)
    assert not alive(pid)
    until(lambda: _unacknowledged(worker) == 0, "the acknowledgement")


def _unacknowledged(worker: Worker) -> int:
    with worker.app.connection_for_read() as connection:
        return int(connection.default_channel.client.hlen("unacked"))


def test_a_killed_worker_leaves_nothing_and_loses_nothing(app: Any, tmp_path: Path) -> None:  # G5
    queue = {"queue": "lost"}
    path = tmp_path / "pid"
    first = Worker(app, f"celery-first-{os.getpid()}", **queue)
    second = None
    try:
        task = app.tasks["celery_app.daemonize_at_first"].apply_async((str(path),), **queue)
        pid = int(said(path))
        os.kill(first.process.pid, signal.SIGKILL)  # its main process: the child waits for the job
        until(lambda: not marked(first.mark), "all of the worker to be gone")
        assert not alive(pid)
        second = Worker(app, f"celery-second-{os.getpid()}", visibility="0.01", **queue)
        assert task.get(PATIENCE) == "again"
    finally:
        first.kill()
        if second is not None:
            second.kill()


# --- killable_wrapper in tasks that are nobody's


def test_the_wrapper_stops_the_tree(worker: Worker, tmp_path: Path) -> None:  # G2
    before = worker.child()
    paths = [str(tmp_path / str(number)) for number in range(2)]
    wrapped = worker.app.tasks["celery_app.wrapped"]
    late = wrapped.delay("daemonize", paths[0], killable_wrapper_timeout=1.0)
    with pytest.raises(hardstop.ProcessTimeoutError):
        late.get(PATIENCE)
    token = hardstop.CancelToken()
    cancelled = wrapped.delay("daemonize", paths[1], killable_wrapper_cancel_pipe=token)
    pid = int(said(tmp_path / "1"))
    token.cancel()
    with pytest.raises(hardstop.ProcessCancelledError):
        cancelled.get(PATIENCE)
    assert not alive(pid) and not alive(int(said(tmp_path / "0")))
    with pytest.raises(hardstop.WorkerDiedError):
        wrapped.delay("segfault").get(PATIENCE)
    with pytest.raises(ValueError, match="no"):
        wrapped.delay("fail").get(PATIENCE)
    assert wrapped.delay("identity", "x" * (20 << 20)).get(PATIENCE) == "x" * (20 << 20)
    assert worker.child() == before


def test_the_wrapper_refuses_a_pipe(worker: Worker) -> None:
    ours, _theirs = multiprocessing.Pipe()
    with pytest.raises(kombu.exceptions.EncodeError, match=r"Connection.*CancelToken"):
        run(worker, "wrapped", "double", 1, kwargs={"killable_wrapper_cancel_pipe": ours})


def test_a_killed_child_leaves_nothing(app: Any, tmp_path: Path) -> None:  # G5
    worker = Worker(app, f"celery-killed-{os.getpid()}", queue="killed")
    try:
        child = worker.child()
        run(worker, "wrapped", "daemonize", str(tmp_path / "pid"), queue="killed")
        pid = int(said(tmp_path / "pid"))
        os.kill(child, signal.SIGKILL)
        until(lambda: not alive(pid), "the job to be gone")
        assert worker.child() != child
    finally:
        worker.kill()


def test_four_tasks_at_once(app: Any, tmp_path: Path) -> None:
    four = Worker(app, f"celery-four-{os.getpid()}", queue="four", children=4)
    try:
        tasks = [
            app.tasks["celery_app.meet"].apply_async((str(tmp_path), number, 4), queue="four")
            for number in range(4)
        ]
        assert len({task.get(PATIENCE) for task in tasks}) == 4
    finally:
        four.kill()


CALLED_DIRECTLY = """
import sys
import hardstop
import celery_app

assert celery_app.call("double", 4) == 8
try:
    celery_app.call_for_a_second("say_and_sleep", sys.argv[1])
except hardstop.ProcessTimeoutError:
    print("timed out")
"""


def test_called_directly(tmp_path: Path) -> None:
    told = run_script(CALLED_DIRECTLY, tmp_path, str(tmp_path / "pid"))
    assert told.strip() == "timed out"
    assert not alive(int(said(tmp_path / "pid")))


def test_wrong_use_is_told(app: Any) -> None:
    from hardstop.integrations.celery import killable_task

    with pytest.raises(TypeError, match="bind"):
        killable_task(app, bind=True)
    with pytest.raises(ValueError, match="timeout=-1"):
        killable_task(app, timeout=-1)
