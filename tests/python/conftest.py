"""Every test leaves the process as it found it: no process, descriptor or mapping of ours."""

from __future__ import annotations

import faulthandler
import multiprocessing
import multiprocessing.resource_tracker
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import hardstop
from support import (
    METHODS,
    PATIENCE,
    command_line,
    descendants,
    our_descriptors,
    our_mappings,
    pool_processes,
    until,
)

# Seconds after which a test that hangs shows where, and ends the run.
HANGS_AFTER = 4 * PATIENCE


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: storms and loops, left out unless -m slow is given")
    global _stderr
    _stderr = os.fdopen(os.dup(sys.__stderr__.fileno()), "w")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--turn", metavar="K/N", help="of N tests in a row only number K, from 0")


def _take_turns(turn: str, config: pytest.Config, items: list[pytest.Item]) -> None:
    mine, of = map(int, turn.split("/"))
    config.hook.pytest_deselected(items=[each for at, each in enumerate(items) if at % of != mine])
    items[:] = items[mine::of]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--turn"):
        _take_turns(config.getoption("--turn"), config, items)
    if config.getoption("-m") or config.getoption("-k"):
        return
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="slow: run with -m slow"))


def _kept_together(nodeid: str) -> str:
    """What tests have in common that share a cluster, a worker or a host: they run in one process,
    which starts it once."""
    file, _, name = nodeid.partition("::")
    if file.endswith(("test_dask.py", "test_celery.py")):
        return file
    if file.endswith("test_hosts.py") and "[" in name:
        return file + name[name.index("[") :]
    return nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from xdist.scheduler import LoadScopeScheduling

    class Together(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _kept_together(nodeid)

    return Together(config, log)


@pytest.fixture(autouse=True)
def _time_limit() -> Iterator[None]:
    faulthandler.dump_traceback_later(HANGS_AFTER, exit=True, file=_stderr)
    yield
    faulthandler.cancel_dump_traceback_later()


def _ours() -> set[int]:
    """Processes below this one, but for those that multiprocessing keeps for all."""
    return {
        pid
        for pid in descendants(os.getpid()) | pool_processes(os.getpid())
        if "resource_tracker" not in command_line(pid) and "forkserver" not in command_line(pid)
    }


@pytest.fixture(autouse=True)
def nothing_left(_time_limit: None) -> Iterator[None]:
    """G5, G10: what a test's pools had is gone when they have ended."""
    multiprocessing.resource_tracker.ensure_running()
    processes = _ours()
    descriptors = our_descriptors()
    mappings = our_mappings()
    yield
    import gc

    gc.collect()

    until(lambda: not _ours() - processes, "processes to end", 5)
    # One thread for callbacks and one for delivery stay, with what they sleep on.
    hardstop._lifetime.sweep_closed()
    until(lambda: our_mappings() <= mappings, "mappings to be undone", 5)
    until(
        lambda: len(our_descriptors().keys() - descriptors.keys()) <= _KEPT,
        "descriptors to be closed",
        5,
    )


# Of the engine itself, from the first pool to the end of the process.
_KEPT = 8


@pytest.fixture(params=METHODS)
def method(request: pytest.FixtureRequest) -> str:
    """Each start method."""
    return str(request.param)


MakePool = Callable[..., hardstop.ProcessPoolExecutor]


@pytest.fixture
def make_pool() -> Iterator[MakePool]:
    """Makes pools that are stopped after the test."""
    made: list[hardstop.ProcessPoolExecutor] = []

    def make(workers: int = 2, method: str | None = None, **options: Any) -> Any:
        context = multiprocessing.get_context(method) if method else None
        pool = hardstop.ProcessPoolExecutor(workers, context, **options)
        made.append(pool)
        return pool

    yield make
    for pool in made:
        pool.shutdown(cancel_futures=True, timeout=0)


@pytest.fixture
def pool(make_pool: MakePool) -> hardstop.ProcessPoolExecutor:
    """Two workers, the default start method."""
    return make_pool()


@pytest.fixture
def any_pool(make_pool: MakePool, method: str) -> hardstop.ProcessPoolExecutor:
    """Two workers, each start method in turn."""
    return make_pool(2, method)
