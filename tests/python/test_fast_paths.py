"""What is quick is the same as what is not: reused picklers, batches of wake-ups, C++ calls."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from dataclasses import dataclass
from typing import Any

import pytest

from hardstop import _pickling
from jobs import double


@dataclass
class Parcel:
    label: str
    weight: float


class Marked:
    """Can be referred to weakly, and pickled."""


class Refuses:
    def __reduce__(self) -> Any:
        raise ValueError("not this one")


class PicklesAnother:
    """Pickling it pickles something else on the way."""

    def __reduce__(self) -> Any:
        inner, _ = _pickling._dump(Parcel("inner", 1.0))
        return bytes, (inner,)


def weigh(parcel: Parcel, options: dict[str, float]) -> float:
    return parcel.weight * options["factor"]


def length(data: bytes) -> int:
    return len(data)


def same(value: Any) -> Any:
    return value


def sum_of(*args: int, **kwargs: int) -> int:
    return sum(args) + sum(kwargs.values())


def test_pickled_arguments_of_a_known_function(make_pool):
    pool = make_pool(2)
    jobs = [pool.submit(weigh, Parcel(str(i), i), {"factor": 2.0}) for i in range(200)]
    assert [job.result() for job in jobs] == [2.0 * i for i in range(200)]


def test_keywords_reach_the_function(make_pool):
    pool = make_pool(1)
    assert pool.submit(sum_of, 1, 2, three=3).result() == 6
    assert pool.submit(sum_of, three=3).result() == 3
    assert pool.submit(sum_of).result() == 0


def test_submit_without_a_function_is_a_type_error(make_pool):
    with pytest.raises(TypeError, match="fn"):
        make_pool(1).submit()


def test_a_refusal_while_pickling_spoils_no_other_job(make_pool):
    pool = make_pool(1)
    refused = pool.submit(same, Refuses())
    assert pool.submit(weigh, Parcel("a", 3.0), {"factor": 1.0}).result() == 3.0
    with pytest.raises(ValueError, match="not this one"):
        refused.result()


def test_pickling_that_pickles_on_the_way(make_pool):
    pool = make_pool(1)
    assert pool.submit(length, PicklesAnother()).result() > 10


def test_a_pickler_keeps_nothing_alive():
    kept = Marked()
    seen = weakref.ref(kept)
    _pickling._dump([kept])
    del kept
    gc.collect()
    assert seen() is None


def test_buffers_of_two_pickles_are_two_lists():
    large = bytearray(1 << 20)
    import pickle

    first = _pickling._dump(pickle.PickleBuffer(large))[1]
    second = _pickling._dump(pickle.PickleBuffer(large))[1]
    assert len(first) == len(second) == 1
    assert _pickling._dump(1)[1] == []


def test_map_over_something_that_raises_takes_back_what_it_had(make_pool):
    pool = make_pool(1)

    def items():
        yield 1
        raise KeyError("no more")

    with pytest.raises(KeyError):
        pool.map(double, items())
    assert pool.submit(double, 2).result() == 4


def test_map_lets_other_threads_run(make_pool):
    pool = make_pool(2)
    ran = threading.Event()
    waiting = threading.Thread(target=ran.set)

    def items():
        for i in range(2000):
            if i == 10:
                waiting.start()
            yield i

    assert list(pool.map(double, items())) == [2 * i for i in range(2000)]
    waiting.join()
    assert ran.is_set()


def test_large_bytes_there_and_back(make_pool):
    pool = make_pool(1)
    for size in (1 << 16, (1 << 20) + 1, (5 << 20) + 4097):
        data = bytes(range(256)) * (size // 256) + bytes(size % 256)
        assert pool.submit(same, data).result() == data
        assert pool.submit(same, "é" * size).result() == "é" * size


async def _many(pool: Any, tasks: int) -> list[int]:
    async def task(i: int) -> int:
        return (await pool.run(double, i)) + (await pool.run(double, 1))

    return await asyncio.gather(*(task(i) for i in range(tasks)))


def test_many_tasks_await_the_end_of_their_own_job(make_pool):
    pool = make_pool(2)
    assert asyncio.run(_many(pool, 300)) == [2 * i + 2 for i in range(300)]


def test_two_loops_in_two_threads(make_pool):
    pool = make_pool(2)
    found: dict[int, list[int]] = {}

    def run(tasks: int) -> None:
        found[tasks] = asyncio.run(_many(pool, tasks))

    threads = [threading.Thread(target=run, args=(tasks,)) for tasks in (150, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {tasks: [2 * i + 2 for i in range(tasks)] for tasks in (150, 200)}


def test_a_loop_that_was_closed_is_not_told(make_pool):
    pool = make_pool(1)

    kept = []

    async def leave() -> None:
        kept.append(asyncio.ensure_future(pool.run(double, 1)))
        await asyncio.sleep(0)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(leave())
    loop.close()
    assert pool.submit(double, 2).result() == 4
