"""Semaphores: what a permit costs that nobody else wants, and whether it outlives its holder."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any

from cells import Figures, cell
from contestants import Cannot

PAIRS = 20_000
PACED = 300


def _per_pair(pair: Callable[[], Any], pairs: int) -> float:
    best = []
    for _ in range(5):
        begin = time.perf_counter()
        for _ in range(pairs):
            pair()
        best.append((time.perf_counter() - begin) / pairs)
    return sorted(best)[2]


def _paced(semaphore: Any, count: int) -> list[float]:
    """In a job, or in another process: one pair each millisecond."""
    took = []
    for _ in range(count):
        time.sleep(0.001)
        begin = time.perf_counter()
        with semaphore:
            pass
        took.append(time.perf_counter() - begin)
    return sorted(took)


def _hold(semaphore: Any) -> None:
    semaphore.acquire()
    time.sleep(1000)


def _tell(semaphore: Any, pipe: Any) -> None:
    pipe.send(_paced(semaphore, PACED))


class _Redis:
    """A lease in a store: SET NX PX, and a script that releases what is one's own."""

    _RELEASE = "if redis.call('get',KEYS[1])==ARGV[1] then return redis.call('del',KEYS[1]) end"

    def __init__(self, path: str) -> None:
        self._path = path
        self._open()

    def _open(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(self._path)
        self._token = os.urandom(8).hex()

    def __reduce__(self) -> Any:
        return _Redis, (self._path,)

    def _ask(self, *words: str) -> bytes:
        parts = [f"*{len(words)}\r\n"] + [f"${len(word)}\r\n{word}\r\n" for word in words]
        self._socket.sendall("".join(parts).encode())
        return self._socket.recv(4096)

    def acquire(self) -> None:
        while self._ask("SET", "lock", self._token, "NX", "PX", "30000") != b"+OK\r\n":
            time.sleep(0.001)

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self._ask("EVAL", self._RELEASE, "1", "lock", self._token)


@contextlib.contextmanager
def _redis() -> Any:
    if shutil.which("redis-server") is None:
        raise Cannot("redis-server is not installed")
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/socket"
        server = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", path, "--save", ""],
            cwd=folder,
            stdout=subprocess.DEVNULL,
        )
        try:
            while not os.path.exists(path):
                time.sleep(0.01)
            yield _Redis(path)
        finally:
            server.kill()
            server.wait()


def _in_processes(make: Callable[[], Any], client_pairs: int) -> Figures:
    """Of what other processes share: the client's pair, a child's, and after a killed holder."""
    semaphore = make()

    def pair() -> None:
        with semaphore:
            pass

    found = {"client": _per_pair(pair, client_pairs)}
    here, there = multiprocessing.Pipe()
    child = multiprocessing.Process(target=_tell, args=(semaphore, there))
    child.start()
    found["job"] = here.recv()[PACED // 2]
    child.join()
    holder = multiprocessing.Process(target=_hold, args=(semaphore,))
    holder.start()
    time.sleep(0.3)
    assert holder.pid is not None
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    found["after_kill"] = _time_until(semaphore)
    return found


def _time_until(semaphore: Any) -> float:
    """How long it takes to get what a killed process had; infinite if it takes two seconds."""

    def take() -> None:
        with contextlib.suppress(ConnectionError):  # its server is ended meanwhile
            semaphore.acquire()

    begin = time.perf_counter()
    taker = threading.Thread(target=take, daemon=True)
    taker.start()
    taker.join(2)
    return float("inf") if taker.is_alive() else time.perf_counter() - begin


def _of_hardstop() -> Figures:
    import hardstop

    lock = hardstop.Lock()

    def pair() -> None:
        with lock:
            pass

    found = {"client": _per_pair(pair, PAIRS)}

    async def in_loop() -> float:
        begin = time.perf_counter()
        for _ in range(PAIRS):
            async with lock:
                pass
        return (time.perf_counter() - begin) / PAIRS

    found["loop"] = asyncio.run(in_loop())
    with hardstop.ProcessPoolExecutor(2) as pool:
        pool.submit(_paced, lock, 10).result()
        found["job"] = pool.submit(_paced, lock, PACED).result()[PACED // 2]
        trips = []
        for _ in range(PACED):
            time.sleep(0.001)
            begin = time.perf_counter()
            pool.submit(int).result()
            trips.append(time.perf_counter() - begin)
        found["round_trip"] = sorted(trips)[PACED // 2]
        holder = pool.submit(_hold, lock)
        while not lock.stats().holders:
            time.sleep(0.001)
        holder.kill()
        found["after_kill"] = _time_until(lock)
    return found


async def _loop_of_asyncio() -> float:
    semaphore = asyncio.Semaphore(1)
    begin = time.perf_counter()
    for _ in range(PAIRS):
        async with semaphore:
            pass
    return (time.perf_counter() - begin) / PAIRS


@cell
def permits(name: str) -> Figures:
    if name == "hardstop":
        return _of_hardstop()
    if name == "mp_semaphore":
        return _in_processes(lambda: multiprocessing.Semaphore(1), PAIRS)
    if name == "asyncio_semaphore":
        return {"loop": asyncio.run(_loop_of_asyncio())}
    if name == "redis_lease":
        with _redis() as lease:
            return _in_processes(lambda: lease, PAIRS // 10)
    raise Cannot("has no semaphore")
