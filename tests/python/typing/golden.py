"""What a type checker says of a user's program: read by test_typing.py, never run.

A line that ends with ``# error`` must be refused, every other one accepted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from typing_extensions import assert_type

import hardstop
from hardstop import Future, ProcessCancelTimeout, ProcessPoolExecutor, ProcessTimeout


def area(width: float, height: float, unit: str = "m") -> str:
    return f"{width * height} {unit}2"


def count() -> int:
    return 1


def uses_submit(pool: ProcessPoolExecutor) -> None:
    assert_type(pool.submit(count), Future[int])
    assert_type(pool.submit(area, 1.0, 2.0), Future[str])
    assert_type(pool.submit(area, 1.0, height=2.0, unit="cm"), Future[str])
    assert_type(pool.submit(area, 1.0, 2.0).result(), str)
    pool.submit(area, 1.0)  # error
    pool.submit(area, "wide", 2.0)  # error
    pool.submit(count, colour="red")  # error


def uses_options(pool: ProcessPoolExecutor) -> None:
    assert_type(pool.submit(count, ProcessTimeout(1.0)), Future[int])
    assert_type(
        pool.submit(area, 1.0, 2.0, "m", ProcessTimeout(1), ProcessCancelTimeout(0)), Future[str]
    )
    careful = pool.options(timeout=1.0, grace=0.5, name="careful")
    assert_type(careful.submit(count), Future[int])
    pool.options(timeout="soon")  # error
    pool.submit(area, "wide", 2.0, "m", ProcessTimeout(1.0))  # error


def uses_map(pool: ProcessPoolExecutor) -> None:
    for text in pool.map(area, [1.0], [2.0], timeout=5):
        assert_type(text, str)


async def uses_asyncio(pool: ProcessPoolExecutor) -> None:
    loop = asyncio.get_running_loop()
    assert_type(await loop.run_in_executor(pool, partial(area, 1.0, 2.0)), str)
    assert_type(await pool.run(count), int)


def uses_a_future(job: Future[int]) -> None:
    assert_type(job.pid, "int | None")
    assert_type(job.cancel(), bool)
    if job.outcome is not None:
        assert_type(job.outcome.ran_for, float)
    assert_type(hardstop.current_job().cancel_requested, bool)


def uses_a_service(queue: hardstop.Queue) -> None:
    service = hardstop.Service(queue, workers=2, journal="journal", grace=25.0)

    @service.job
    def resize(path: str, width: int = 200) -> None: ...

    @service.job(name="other", timeout=60)
    def crop(path: str) -> int:
        return len(path)

    @service.on("drain")
    def flush() -> None: ...

    assert_type(crop("stays a function"), int)
    assert_type(queue.enqueue(resize, "in.png", width=400), str)
    assert_type(queue.options(priority=5).enqueue("resize", "in.png"), str)
    found = queue.find("1")
    if found is not None:
        assert_type(found.message.decode(), hardstop.Message)
    assert_type(service.run(), int)
    service.run([hardstop.message(resize, "in.png"), (resize, "in.png", 100), "resize"])
    assert_type(service.stats().finished, int)
    service.on("end")  # error
    service.run(7)  # error
    queue.options(urgency=5)  # error
    hardstop.Queue("jobs.db", durability="much")  # error


class OwnSource:
    def take(self, at_most: int, patience: float) -> list[hardstop.TakenJob] | None:
        return None

    def extend(self, leases: Sequence[hardstop.Receipt]) -> None: ...
    def ack(self, done: Sequence[hardstop.Receipt]) -> list[hardstop.Receipt]:
        return []

    def nack(self, jobs: Sequence[hardstop.NackedJob]) -> None: ...
    def on_cancel(self, tell: Callable[[hardstop.Receipt], None] | None) -> None: ...


async def serves(service: hardstop.Service) -> None:
    assert_type(await service.serve(OwnSource()), int)
