"""One cancel for many jobs, in any process of this machine."""

from __future__ import annotations

import functools
import os
import struct
import threading
from pathlib import Path
from typing import Any

from . import _engine
from ._future import Future

_GRACE = struct.Struct("=d")
_OWN_GRACE = -1.0  # each job's


class CancelToken:
    """Stops every job that follows it, before or after it has started, in whatever process.

    Made in the client, picklable, given to any number of jobs: ``pool.options(cancel_on=token)``,
    ``killable_wrapper(..., killable_wrapper_cancel_pipe=token)``. Works between processes of one
    user on one machine, as long as the process that made it lives and keeps it. Any thread may use
    it. On another machine, or in a container with processes of its own, whoever is to follow it
    raises RuntimeError.
    """

    _is_elsewhere = False

    def __init__(self) -> None:
        self._pipe, self._writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._maker = os.getpid()
        self._lock = threading.Lock()

    @classmethod
    def _attached(
        cls, maker: int, number: int, identity: tuple[int, int], where: tuple[str, int]
    ) -> CancelToken:
        """A token in another process than its maker's; one without effect if that is gone."""
        token = cls.__new__(cls)
        token._lock = threading.Lock()
        token._maker = maker
        token._writer = -1
        token._is_elsewhere = where != _here()
        token._pipe = -1 if token._is_elsewhere else _open(maker, number, identity)
        return token

    def cancel(self, grace: float | None = None) -> None:
        """Cancels all of its jobs, now and to come, with that grace in seconds or each its own.

        Never blocks. The first call counts. RuntimeError in a process that did not make it.
        """
        if grace is not None and grace < 0:
            raise ValueError(f"grace={grace!r}: give 0 or more seconds, or None for each job's own")
        if self._writer < 0 or self._maker != os.getpid():
            raise RuntimeError("a CancelToken is cancelled in the process that made it")
        with self._lock:
            if not self.cancelled:
                os.write(self._writer, _GRACE.pack(_OWN_GRACE if grace is None else float(grace)))

    @property
    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self._pipe >= 0 and _engine.token_grace(self._pipe) is not None

    @property
    def maker(self) -> int:
        """The process that made it."""
        return self._maker

    def check_reach(self) -> None:
        """RuntimeError where its maker's processes cannot be seen."""
        if self._is_elsewhere:
            raise RuntimeError(
                "this CancelToken was made on another machine, or in another container, and does "
                "not reach this one. On a Dask cluster, give it to "
                "ClusterExecutor.options(cancel_on=token), which follows it in the client"
            )

    def follow(self, job: Future[Any]) -> None:
        """The job is cancelled with this token from now on."""
        if self._pipe >= 0:
            _engine.follow_token(self._pipe, job)

    def __reduce__(self) -> Any:
        if self._pipe < 0:
            where = ("", 0) if self._is_elsewhere else _here()
            return CancelToken._attached, (0, -1, (0, 0), where)
        status = os.fstat(self._pipe)
        # Whoever has it from us opens our end of the pipe.
        return CancelToken._attached, (
            os.getpid(),
            self._pipe,
            (status.st_dev, status.st_ino),
            _here(),
        )

    def __del__(self) -> None:
        for number in (getattr(self, "_pipe", -1), getattr(self, "_writer", -1)):
            if number >= 0:
                os.close(number)

    def __repr__(self) -> str:
        return f"<CancelToken of process {self._maker}{', cancelled' if self.cancelled else ''}>"


@functools.cache
def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _here() -> tuple[str, int]:
    """Where process numbers mean what they mean here: this boot, this namespace of processes."""
    return _boot(), os.stat("/proc/self/ns/pid").st_ino


def _open(maker: int, number: int, identity: tuple[int, int]) -> int:
    """Another process's end of a pipe, or -1 if it is not there any more."""
    if number < 0:
        return -1
    try:
        pipe = os.open(f"/proc/{maker}/fd/{number}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return -1
    status = os.fstat(pipe)
    if (status.st_dev, status.st_ino) != identity:  # another one has that number by now
        os.close(pipe)
        return -1
    return pipe
