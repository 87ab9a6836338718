"""How the processes of a pool come to be: the three start methods of multiprocessing."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.context
import os
import pickle
import weakref
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import spawn, util
from typing import Any

from ._snapshot import Snapshot
from ._worker import Told, forget_told, leave_to_forks


class _InheritedDescriptor:
    """A descriptor that executed workers have under the number it has here."""

    def __init__(self, number: int) -> None:
        self.number = number

    def detach(self) -> int:
        return self.number


class _Descriptors:
    """Stands where multiprocessing has the child it is about to spawn: collects descriptors."""

    def __init__(self) -> None:
        self.numbers: list[int] = []

    def duplicate_for_child(self, number: int) -> int:
        copy = os.dup(number)  # the caller may close its own before a worker is born
        self.numbers.append(copy)
        return copy

    def DupFd(self, number: int) -> _InheritedDescriptor:  # noqa: N802 - multiprocessing's name
        return _InheritedDescriptor(self.duplicate_for_child(number))


@contextlib.contextmanager
def _spawning(child: _Descriptors) -> Iterator[None]:
    """What is pickled meanwhile is for a child: locks, pipes and keys let themselves be pickled."""
    multiprocessing.context.set_spawning_popen(child)  # type: ignore[arg-type]
    try:
        yield
    finally:
        multiprocessing.context.set_spawning_popen(None)


def _tracker_descriptor() -> int:
    """Of the one resource tracker that client and workers share; starts it."""
    from multiprocessing import resource_tracker

    number = resource_tracker.getfd()
    assert number is not None
    return number


# A guardian that forks its workers loads the package for all of them. One that executes them has no
# use for it: there the extension comes alone, and a worker imports the rest.
_WITH_PACKAGE = "from hardstop import _engine"
_ALONE = (
    "import types; bare = types.ModuleType('hardstop'); bare.__path__ = [{package!r}];"
    " sys.modules['hardstop'] = bare; from hardstop import _engine; del sys.modules['hardstop']"
)


def _program(method: str) -> list[str]:
    package = os.path.dirname(os.path.abspath(__file__))
    load = _ALONE.format(package=package) if method == "spawn" else _WITH_PACKAGE
    path = os.path.dirname(package)
    code = f"import sys; sys.path.append({path!r}); {load}; _engine.serve_role()"
    executable = os.fsdecode(spawn.get_executable())
    return [executable, *util._args_from_interpreter_flags(), "-c", code]  # type: ignore[attr-defined]


class Start:
    """How one pool's workers begin. Made at its first submit."""

    def __init__(
        self,
        context: multiprocessing.context.BaseContext,
        initializer: Callable[..., object] | None,
        initargs: tuple[Any, ...],
        finalizer: Callable[[], object] | None = None,
        max_worker_memory: int = 0,
        variables: Sequence[tuple[str, str | None]] = (),
    ) -> None:
        self.method = context.get_start_method()
        self.program: list[str] = []
        self.descriptors: list[int] = []
        self.snapshot = Snapshot(executed=self.method != "fork")
        told = Told(
            method=self.method,
            client_pid=os.getpid(),
            client_name=multiprocessing.current_process().name,
            max_worker_memory=max_worker_memory,
            variables=tuple(variables),
        )
        if self.method == "fork":
            told.initializer, told.initargs = initializer, initargs
            told.finalizer = finalizer
            self._runtime = number = leave_to_forks(told)
            _at_its_end(self, forget_told, number)
        else:
            self._prepare_executed(told, (initializer, initargs, finalizer))

    def _prepare_executed(
        self,
        told: Told,
        user_code: tuple[Any, ...],
    ) -> None:
        from multiprocessing import forkserver
        from multiprocessing.reduction import ForkingPickler

        self.program = _program(self.method)
        told.preparation = _preparation()
        preload = forkserver._forkserver._preload_modules  # type: ignore[attr-defined]
        told.preload = list(preload)
        collected = _Descriptors()
        if any(user_code):
            with _spawning(collected):
                told.pickled_initializer = bytes(ForkingPickler.dumps(user_code))
        told.tracker = tracker = _tracker_descriptor()
        self.descriptors = [*collected.numbers, tracker]
        _at_its_end(self, _close_all, collected.numbers)
        self._runtime = _dump_with_authkey(told)

    def runtime(self) -> bytes:
        """Asked for when a guardian is about to be born."""
        self.snapshot.take()
        return self._runtime


def _preparation() -> dict[str, Any]:
    prepared = dict(spawn.get_preparation_data("hardstop"))
    path = prepared.get("init_main_from_path")
    if path is not None and not os.path.exists(path):
        del prepared["init_main_from_path"]  # "<stdin>": there is nothing to import
    return prepared


def _at_its_end(start: Start, call: Callable[..., object], *args: Any) -> None:
    # The engine drops it with the last process of the pool; at exit the kernel does as well.
    weakref.finalize(start, call, *args).atexit = False


def _close_all(numbers: list[int]) -> None:
    for number in numbers:
        os.close(number)


def _dump_with_authkey(told: Told) -> bytes:
    # An authentication key is pickled only for a child.
    with _spawning(_Descriptors()):
        return pickle.dumps(told, 5)
