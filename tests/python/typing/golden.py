"""What a type checker says of a user's program: read by test_typing.py, never run.

A line that ends with ``# error`` must be refused, every other one accepted.
"""

from __future__ import annotations

import asyncio
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
