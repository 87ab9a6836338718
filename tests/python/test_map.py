"""map(), as the standard library's, and what becomes of what was not asked for."""

from __future__ import annotations

import concurrent.futures
import gc
import itertools
import time

import pytest

from jobs import double, say, say_and_sleep
from support import PATIENCE, alive, gone, said, until


def _fail_at(at: int) -> int:
    if at == 3:
        raise KeyError(at)
    return at


def _say_and_wait(path: str) -> str:
    say(path)
    time.sleep(0.3)
    say(path + ".end")
    return path


def test_results_in_order(any_pool):
    assert list(any_pool.map(double, range(50))) == list(range(0, 100, 2))
    assert list(any_pool.map(pow, [2, 3], [5, 2])) == [32, 9]
    assert list(any_pool.map(double, range(50), chunksize=7)) == list(range(0, 100, 2))
    assert list(any_pool.map(double, [])) == []


def test_arguments_are_checked_at_once(pool):
    for bad in ({"chunksize": 0}, {"buffersize": 0}):
        with pytest.raises(ValueError):
            pool.map(double, [1], **bad)
    with pytest.raises(TypeError):
        pool.map(double, [1], buffersize="1")


def test_a_failure_comes_at_its_place(pool):
    for chunksize in (1, 2):
        results = pool.map(_fail_at, range(10), chunksize=chunksize)
        got = []
        with pytest.raises(KeyError):
            for each in results:
                got.append(each)
        assert got == [0, 1, 2][: 3 if chunksize == 1 else 2]


def test_a_timeout_takes_back_what_waits_and_lets_finish_what_runs(make_pool, tmp_path):
    pool = make_pool(1)
    paths = [str(tmp_path / str(at)) for at in range(20)]
    results = pool.map(_say_and_wait, paths, timeout=0.05)
    said(tmp_path / "0")
    with pytest.raises(concurrent.futures.TimeoutError):
        list(results)
    said(tmp_path / "0.end")
    pool.shutdown()
    assert not (tmp_path / "19").exists()
    assert pool.stats()["kills"] == 0


def test_an_abandoned_iterator(make_pool, tmp_path):
    pool = make_pool(1)
    paths = [str(tmp_path / str(at)) for at in range(20)]
    results = pool.map(_say_and_wait, paths)
    assert next(results) == paths[0]
    results.close()
    pool.shutdown()
    assert not (tmp_path / "19").exists()
    assert pool.stats()["kills"] == 0


def test_an_abandoned_iterator_of_chunks(make_pool, tmp_path):
    pool = make_pool(1)
    paths = [str(tmp_path / str(at)) for at in range(20)]
    results = pool.map(_say_and_wait, paths, chunksize=2)
    assert next(results) == paths[0]
    results.close()
    pool.shutdown()
    assert not (tmp_path / "19").exists()


def test_kill_on_abandon(pool, tmp_path):
    view = pool.options(kill_on_abandon=True)
    paths = [str(tmp_path / str(at)) for at in range(2)]
    results = view.map(say_and_sleep, paths)
    pids = [int(said(tmp_path / str(at))) for at in range(2)]
    del results
    gc.collect()
    gone(*pids)
    assert not alive(pids[0])


def test_kill_on_abandon_at_a_timeout(pool, tmp_path):
    view = pool.options(kill_on_abandon=True)
    results = view.map(say_and_sleep, [str(tmp_path / "a")], timeout=0.5)
    pid = int(said(tmp_path / "a"))
    with pytest.raises(concurrent.futures.TimeoutError):
        next(results)
    gone(pid)


def test_buffersize_is_lazy(pool):
    taken = []

    def numbers():
        for at in itertools.count():
            taken.append(at)
            yield at

    results = pool.map(double, numbers(), buffersize=3)
    assert len(taken) == 3
    assert [next(results) for _ in range(5)] == [0, 2, 4, 6, 8]
    assert len(taken) == 8
    results.close()


def test_an_iterable_that_raises(pool):
    def numbers():
        yield 1
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        pool.map(double, numbers())


def test_an_unpicklable_item_fails_at_its_place(pool):
    import threading

    results = pool.map(double, [1, threading.Lock(), 3])
    assert next(results) == 2
    with pytest.raises(TypeError):
        next(results)


def test_many_maps_at_once(any_pool):
    maps = [any_pool.map(double, range(at, at + 20)) for at in range(5)]
    assert [next(each) for each in maps] == [0, 2, 4, 6, 8]
    assert [sum(each) for each in maps] == [2 * sum(range(at + 1, at + 20)) for at in range(5)]


def test_an_iterator_nobody_began(pool, tmp_path):
    """Its jobs run, as in the standard library."""
    pool.map(_say_and_wait, [str(tmp_path / "a")])
    gc.collect()
    until(lambda: (tmp_path / "a.end").exists(), patience=PATIENCE)
