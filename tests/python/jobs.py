"""Functions that tests run as jobs."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any

import hardstop


def double(number: int) -> int:
    return number * 2


def identity(value: Any) -> Any:
    return value


def arguments(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
    return args, kwargs


def pid_after(*_: Any) -> int:
    return os.getpid()


def say(path: str, text: str = "") -> None:
    """Writes a line as a whole: a reader sees all of it or none."""
    fresh = f"{path}.{os.getpid()}"
    Path(fresh).write_text(f"{text or os.getpid()}\n")
    os.rename(fresh, path)


def say_and_sleep(path: str, seconds: float = 600.0) -> int:
    say(path)
    time.sleep(seconds)
    return os.getpid()


def stop_when_asked(path: str, value: Any = "stopped") -> Any:
    say(path)
    job = hardstop.current_job()
    while not job.cancel_requested:
        time.sleep(0.001)
    return value


def raise_when_asked(path: str) -> None:
    stop_when_asked(path)
    raise LookupError("asked to stop")


def wait_for_file(path: str) -> str:
    while not os.path.exists(path):
        time.sleep(0.002)
    return path


def fail(text: str = "no") -> None:
    raise ValueError(text)


def die(number: int = signal.SIGKILL) -> None:
    os.kill(os.getpid(), number)
    time.sleep(600)


def leave(code: int) -> None:
    os._exit(code)


def segfault() -> None:
    ctypes.string_at(1)


def hold_the_gil(path: str) -> int:
    """Python's own loop in C: no byte code is run, no signal handler either."""
    say(path)
    return sum(range(10**15))


def hold_the_gil_in_re(path: str) -> Any:
    say(path)
    return re.match(r"(a+)+$", "a" * 60 + "b")


def ignore_all(path: str) -> None:
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_IGN)
    say(path)
    while True:
        time.sleep(600)


def stop_itself(path: str) -> None:
    say(path)
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(600)


def _sleeper(path: str) -> None:
    say(path)
    while True:
        time.sleep(600)


def session_of_its_own(path: str) -> None:
    """A grandchild in a session of its own."""
    if os.fork() == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        _sleeper(path)
    time.sleep(600)


def daemonize(path: str) -> None:
    """A daemon as the books have it: two forks and a session."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            _sleeper(path)
        os._exit(0)
    time.sleep(600)


def leave_in_a_thread(code: int) -> None:
    import threading

    threading.Thread(target=os._exit, args=(code,)).start()
    time.sleep(600)


def eat_memory(limit: int) -> int:
    kept = []
    for _ in range(limit // (1 << 20)):
        kept.append(bytearray(os.urandom(1)) * (1 << 20))
    return len(kept)


def fork_and_return() -> int:
    """The child comes back from the job as well."""
    parent = os.getpid()
    os.fork()
    return os.getpid() if os.getpid() == parent else -1


def fork_and_leave(code: int) -> int:
    pid = os.fork()
    if pid == 0:
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def process_facts() -> dict[str, Any]:
    me = multiprocessing.current_process()
    parent = multiprocessing.parent_process()
    assert parent is not None
    return {
        "name": me.name,
        "pid": me.pid,
        "daemon": me.daemon,
        "authkey": bytes(me.authkey),
        "parent": parent.pid,
        "parent alive": parent.is_alive(),
        "has terminal": _has_terminal(),
        "argv": sys.argv[:1],
    }


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def return_exception() -> Exception:
    return ValueError("returned, not raised")


class NeedsTwo(Exception):
    """Its args are not what its class wants."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code


def raise_needs_two() -> None:
    raise NeedsTwo(7, "seven")


class CannotTravel:
    def __reduce__(self) -> Any:
        raise TypeError("stays at home")


class CannotBeRead:
    def __reduce__(self) -> Any:
        return _explode, ()


def _explode() -> None:
    raise ArithmeticError("not to be read")


class UnpicklableError(Exception):
    def __init__(self) -> None:
        super().__init__("with a lock")
        import threading

        self.lock = threading.Lock()


def make(kind: str) -> Any:
    return {"CannotTravel": CannotTravel, "CannotBeRead": CannotBeRead}[kind]()


def raise_unpicklable() -> None:
    raise UnpicklableError()


def raise_group() -> None:
    raise ExceptionGroup("two", [ValueError("one"), NeedsTwo(2, "two")])  # noqa: F821


def raise_with_notes() -> None:
    error = ValueError("noted")
    error.add_note("a note")  # type: ignore[attr-defined]
    raise error


def deep(depth: int) -> list[Any]:
    made: list[Any] = []
    for _ in range(depth):
        made = [made]
    return made


def nested(method: str, number: int) -> int:
    context = multiprocessing.get_context(method)
    with hardstop.ProcessPoolExecutor(1, context) as inner:
        return inner.submit(double, number).result()


def shared_memory(path: str, name: str) -> None:
    from multiprocessing import shared_memory as shared

    made = shared.SharedMemory(name, create=True, size=4096)
    made.buf[0] = 1
    say_and_sleep(path)
