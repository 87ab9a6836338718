"""Services: durable queues and what takes jobs from them, as whole programs.

Everybody gets two worker processes, jobs that append a byte or a line to a file, and a producer in
another process. Redis is started as Debian starts it, but for its snapshots; queues in SQLite are
as their makers have them.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cells import Figures, cell
from contestants import Cannot

JOBS = 3000
PACED = 300
PAUSE = 0.01
RECOVERED = 100_000

_HARDSTOP = """
import os, time, hardstop
queue = hardstop.Queue({folder!r} + "/jobs.db")
service = hardstop.Service(queue, workers=2{journal})

@service.job
def mark(path):
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, b"%.6f\\n" % time.monotonic()); os.close(file)

@service.job
def nap(path):
    mark(path); time.sleep(0.05)
"""

_CELERY = """
import os, time, celery
app = celery.Celery("app", broker="redis+socket://{folder}/redis.socket")
app.conf.task_ignore_result = True
app.conf.worker_concurrency = 2
app.conf.task_acks_late = True

@app.task
def mark(path):
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, b"%.6f\\n" % time.monotonic()); os.close(file)
"""

_RQ = """
import os, time

def mark(path):
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, b"%.6f\\n" % time.monotonic()); os.close(file)
"""

_HUEY = """
import os, time, huey
app = huey.SqliteHuey("app", filename={folder!r} + "/huey.db", results=False)

@app.task()
def mark(path):
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, b"%.6f\\n" % time.monotonic()); os.close(file)
"""


class _Program:
    """Files and processes of one contestant; all ended and removed with the block."""

    def __init__(self, folder: str, name: str) -> None:
        self.folder = folder
        self.marks = f"{folder}/marks"
        self.name = name
        self._processes: list[subprocess.Popen[bytes]] = []
        sys.path.insert(0, folder)

    def write(self, text: str, **values: str) -> None:
        Path(self.folder, "app.py").write_text(text.format(folder=self.folder, **values))

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": self.folder},
        )
        self._processes.append(process)
        return process

    def start_redis(self) -> None:
        if shutil.which("redis-server") is None:
            raise Cannot("redis-server is not installed")
        path = f"{self.folder}/redis.socket"
        self.start("redis-server", "--port", "0", "--unixsocket", path, "--save", "")
        while not os.path.exists(path):
            time.sleep(0.01)

    def wait_for_marks(self, many: int, within: float = 120.0) -> list[float]:
        give_up = time.monotonic() + within
        while True:
            with contextlib.suppress(FileNotFoundError):
                lines = Path(self.marks).read_bytes().split()
                if len(lines) >= many:
                    return [float(line) for line in lines]
            if time.monotonic() > give_up:
                raise Cannot(f"did not do {many} jobs within {within:g} s")
            time.sleep(0.001)

    def end(self) -> None:
        for process in reversed(self._processes):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextlib.contextmanager
def _program(name: str) -> Iterator[tuple[_Program, Any, Any]]:
    """The program, how one job is enqueued, and how its workers are started."""
    with tempfile.TemporaryDirectory() as folder:
        program = _Program(folder, name)
        try:
            yield program, *_MAKERS[name](program)
        finally:
            program.end()


def _hardstop(program: _Program, journal: str = "") -> tuple[Any, Any]:
    program.write(_HARDSTOP, journal=journal)
    import hardstop

    queue = hardstop.Queue(f"{program.folder}/jobs.db")
    return (
        lambda: queue.enqueue("mark", program.marks),
        lambda: program.start(sys.executable, "-m", "hardstop", "worker", "app:service"),
    )


def _journaled(program: _Program) -> tuple[Any, Any]:
    return _hardstop(program, f', journal="{program.folder}/journal"')


def _celery(program: _Program) -> tuple[Any, Any]:
    _need("celery", "redis")
    program.start_redis()
    program.write(_CELERY)
    app = importlib.import_module("app")
    return (
        lambda: app.mark.delay(program.marks),
        lambda: program.start(
            sys.executable, "-m", "celery", "-A", "app", "worker", "-P", "prefork"
        ),
    )


def _rq(program: _Program) -> tuple[Any, Any]:
    _need("rq", "redis")
    program.start_redis()
    program.write(_RQ)
    import redis
    import rq

    url = f"unix://{program.folder}/redis.socket"
    queue = rq.Queue(connection=redis.Redis.from_url(url))
    app = importlib.import_module("app")

    def start() -> None:
        for _ in range(2):
            program.start(sys.executable, "-m", "rq.cli", "worker", "--url", url)

    return lambda: queue.enqueue(app.mark, program.marks, result_ttl=0), start


def _huey(program: _Program) -> tuple[Any, Any]:
    _need("huey")
    program.write(_HUEY)
    app = importlib.import_module("app")
    consumer = shutil.which("huey_consumer", path=str(Path(sys.executable).parent))
    if consumer is None:
        consumer = str(Path(sys.executable).with_name("huey_consumer.py"))
    return (
        lambda: app.mark(program.marks),
        lambda: program.start(sys.executable, consumer, "app.app", "-w", "2", "-k", "process"),
    )


def _need(*modules: str) -> None:
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise Cannot(f"not run: {module} is not installed")


_MAKERS: dict[str, Any] = {
    "hardstop": _hardstop,
    "hardstop_journal": _journaled,
    "celery": _celery,
    "rq": _rq,
    "huey": _huey,
}


@cell
def service_throughput(name: str) -> Figures:
    """All jobs are there before the workers are: from the first to be run to the last."""
    with _program(name) as (program, enqueue, start):
        begin = time.perf_counter()
        for _ in range(JOBS):
            enqueue()
        enqueued = JOBS / (time.perf_counter() - begin)
        start()
        marks = sorted(program.wait_for_marks(JOBS))
        return {"enqueue_rate": enqueued, "rate": (JOBS - 1) / (marks[-1] - marks[0])}


@cell
def service_latency(name: str) -> Figures:
    """One job each 10 ms to a service that waits: from before enqueue() to the job's first line."""
    with _program(name) as (program, enqueue, start):
        start()
        enqueue()
        program.wait_for_marks(1)
        took = []
        for count in range(PACED):
            time.sleep(PAUSE)
            begin = time.monotonic()
            enqueue()
            took.append(program.wait_for_marks(count + 2)[-1] - begin)
        took.sort()
        return {"p50": took[PACED // 2], "p99": took[PACED * 99 // 100]}


@cell
def service_drain(name: str) -> Figures:
    """SIGTERM, while two jobs of 50 ms run and others wait, until the process is gone."""
    if name != "hardstop":
        raise Cannot("measured of hardstop only")
    with _program("hardstop_journal") as (program, _, start):
        import hardstop

        queue = hardstop.Queue(f"{program.folder}/jobs.db")
        for _ in range(100):
            queue.enqueue("nap", program.marks)
        service = start()
        program.wait_for_marks(10)
        begin = time.perf_counter()
        service.send_signal(signal.SIGTERM)
        status = service.wait()
        assert status == 0, status
        return {"drain": time.perf_counter() - begin}


@cell
def service_recovery(name: str) -> Figures:
    """10^5 jobs that a crash has left in a journal, put back into a queue."""
    if name != "hardstop":
        raise Cannot("measured of hardstop only")
    import hardstop

    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/journal"
        hardstop.Service(iter(()), workers=1, journal=path, handle_signals=False).run()
        with contextlib.closing(sqlite3.connect(path)) as file, file:
            file.executemany(
                "INSERT INTO attempts (run, number, job, attempt, name, format, arguments, state,"
                " taken_at) VALUES (1, ?, ?, 1, 'mark', 0, ?, ?, 0)",
                ((n, str(n), b'["x"]', n % 2) for n in range(1, RECOVERED + 1)),
            )
        queue = hardstop.Queue(f"{folder}/jobs.db")
        begin = time.perf_counter()
        hardstop.Journal(path).requeue(queue)
        took = time.perf_counter() - begin
        assert queue.count("queued") == RECOVERED
        return {"recovery": took}
