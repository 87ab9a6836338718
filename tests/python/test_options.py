"""Options of a job among its arguments, by keyword, and of a view."""

from __future__ import annotations

import functools
import time

import pytest

import hardstop
from hardstop import (
    ProcessCancelledError,
    ProcessCancelTimeout,
    ProcessTimeout,
    ProcessTimeoutError,
)
from jobs import arguments, say_and_sleep, stop_when_asked
from support import PATIENCE, said


def test_options_stand_anywhere_and_never_reach_the_function(any_pool):
    limit, grace = ProcessTimeout(PATIENCE), ProcessCancelTimeout(PATIENCE)
    for args in ((limit, 1, 2, grace), (1, limit, grace, 2), (grace, 1, 2, limit)):
        assert any_pool.submit(arguments, *args, key=3).result() == ((1, 2), {"key": 3})


def test_keywords(pool):
    for given in (ProcessTimeout(PATIENCE), PATIENCE, int(PATIENCE), None):
        assert pool.submit(arguments, 1, timeout_=given).result() == ((1,), {})
    for given in (ProcessCancelTimeout(PATIENCE), PATIENCE, None):
        assert pool.submit(arguments, k=2, after_cancel_timeout_=given).result() == ((), {"k": 2})
    with pytest.raises(ProcessTimeoutError):
        pool.submit(time.sleep, 600, timeout_=0.05).result()


def test_names_without_the_underscore_are_the_functions(pool):
    assert pool.submit(arguments, timeout=1, grace=2).result() == ((), {"timeout": 1, "grace": 2})


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((ProcessTimeout(1), ProcessTimeout(2)), {}),
        ((ProcessCancelTimeout(1), ProcessCancelTimeout(1)), {}),
        ((ProcessTimeout(1),), {"timeout_": 2}),
        ((ProcessCancelTimeout(1),), {"after_cancel_timeout_": ProcessCancelTimeout(1)}),
    ],
)
def test_two_of_one_kind_are_a_type_error(pool, args, kwargs):
    with pytest.raises(TypeError, match="twice"):
        pool.submit(arguments, *args, **kwargs)
    assert pool.submit(arguments, 1).result() == ((1,), {})


@pytest.mark.parametrize("kind", [ProcessTimeout, ProcessCancelTimeout])
def test_values_without_sense(kind, pool):
    for bad in (-1, float("nan"), -0.001):
        with pytest.raises(ValueError, match="0 or more"):
            kind(bad)
    for bad in ("1", None, True, object()):
        with pytest.raises(TypeError, match="seconds"):
            kind(bad)
    keyword = "timeout_" if kind is ProcessTimeout else "after_cancel_timeout_"
    with pytest.raises(TypeError):
        pool.submit(arguments, **{keyword: "1"})
    with pytest.raises(ValueError):
        pool.submit(arguments, **{keyword: -1})
    other = ProcessCancelTimeout if kind is ProcessTimeout else ProcessTimeout
    with pytest.raises(TypeError):
        pool.submit(arguments, **{keyword: other(1)})
    assert repr(kind(0.5)) == f"{kind.__name__}(0.5)"


def test_endless_times(pool):
    assert pool.submit(arguments, 1, ProcessTimeout(float("inf"))).result() == ((1,), {})
    assert pool.submit(arguments, 1, ProcessTimeout(1e300)).result() == ((1,), {})


def test_not_looked_for_inside_a_partial(pool):
    """The function gets it: an option is one only where submit() sees it."""
    limit = ProcessTimeout(0.001)
    (args, _), again = pool.submit(functools.partial(arguments, limit), 1).result(), None
    assert args == (limit, 1)
    assert again is None
    with pytest.raises(ProcessTimeoutError):
        pool.submit(functools.partial(time.sleep, 600), ProcessTimeout(0.05)).result()


def test_not_looked_for_inside_containers(pool):
    limit = ProcessTimeout(0.001)
    assert pool.submit(arguments, [limit], {"a": limit}).result() == (([limit], {"a": limit}), {})


def test_a_view_is_an_executor(any_pool, tmp_path):
    view = any_pool.options(timeout=0.05, name="short")
    with pytest.raises(ProcessTimeoutError, match="short"):
        view.submit(time.sleep, 600).result()
    assert list(view.map(abs, [-1, -2])) == [1, 2]
    with view:
        pass
    assert view.submit(abs, -1).result() == 1, "a view has no end of its own"


def test_what_stands_among_the_arguments_wins_over_the_view(pool, tmp_path):
    view = pool.options(timeout=0.001, grace=0)
    path = tmp_path / "a"
    options = (ProcessTimeout(PATIENCE), ProcessCancelTimeout(PATIENCE))
    future = view.submit(stop_when_asked, str(path), "v", *options)
    said(path)
    future.cancel()
    assert future.result(PATIENCE) == "v"


def test_views_of_views(pool, tmp_path):
    view = pool.options(name="one", grace=PATIENCE).options(name="two")
    path = tmp_path / "a"
    future = view.submit(stop_when_asked, str(path))
    said(path)
    future.cancel()
    assert future.result(PATIENCE) == "stopped"
    assert future.outcome.job == "two"
    with pytest.raises(TypeError):
        view.options(nmae="x")


def test_bad_options_of_a_view(pool):
    for bad in ({"timeout": -1}, {"grace": -1}, {"retries": -1}, {"leftovers": "x"}):
        with pytest.raises(ValueError):
            pool.options(**bad)
    with pytest.raises(TypeError):
        pool.options(name=3)


def test_priorities_are_stable(make_pool, tmp_path):
    pool = make_pool(1)
    gate = pool.submit(say_and_sleep, str(tmp_path / "a"))
    said(tmp_path / "a")
    futures = {}
    for at in range(4):
        for name, priority in (("low", -5), ("high", 5), ("usual", 0)):
            future = pool.options(priority=priority).submit(time.monotonic_ns)
            futures[f"{name} {at}"] = future
    gate.cancel()
    began = {name: future.result(PATIENCE) for name, future in futures.items()}
    wanted = [f"{name} {at}" for name in ("high", "usual", "low") for at in range(4)]
    assert sorted(began, key=lambda name: began[name]) == wanted


def test_retries(pool, tmp_path):
    future = pool.options(retries=3).submit(_die_twice, str(tmp_path))
    assert future.result(PATIENCE) == 3
    assert future.outcome.attempt == 3
    with pytest.raises(hardstop.WorkerDiedError):
        pool.options(retries=1).submit(_die_twice, str(tmp_path / "other")).result(PATIENCE)


def _die_twice(folder: str) -> int:
    import os

    os.makedirs(folder, exist_ok=True)
    attempt = len([name for name in os.listdir(folder) if name.startswith("attempt")]) + 1
    open(os.path.join(folder, f"attempt{attempt}"), "w").close()
    if attempt < 3:
        os._exit(3)
    return attempt


def test_a_bounded_queue_refuses(make_pool, tmp_path):
    pool = make_pool(1, max_pending=1, when_full="reject")
    first = pool.submit(say_and_sleep, str(tmp_path / "a"))
    said(tmp_path / "a")
    futures = []
    with pytest.raises(hardstop.QueueFullError):
        for _ in range(1000):
            futures.append(pool.submit(abs, 1))
    first.cancel()
    assert {future.result(PATIENCE) for future in futures} == {1}
    assert pool.submit(abs, -3).result(PATIENCE) == 3


def test_a_bounded_queue_blocks(make_pool, tmp_path):
    import threading

    pool = make_pool(1, max_pending=1)
    first = pool.submit(say_and_sleep, str(tmp_path / "a"))
    said(tmp_path / "a")
    futures = []

    def fill() -> None:
        for at in range(100):
            futures.append(pool.submit(abs, at))

    thread = threading.Thread(target=fill)
    thread.start()
    thread.join(0.3)
    assert thread.is_alive()
    first.cancel()
    thread.join(PATIENCE)
    assert [future.result(PATIENCE) for future in futures] == list(range(100))
    with pytest.raises(ProcessCancelledError):
        first.result()
