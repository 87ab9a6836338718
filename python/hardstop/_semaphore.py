"""Semaphores whose permits survive a killed holder."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import _engine

_LOOK_AGAIN = 0.02  # seconds: how often a job's event loop looks whether it was granted


Permit = _engine.Permit


@dataclass(frozen=True)
class PermitOwner:
    """Who holds permits, or waits for some."""

    who: str
    count: int
    fence: int
    """0 while it waits."""
    since: float
    """For how many seconds it has held, or waited."""
    unconfirmed: str
    """Not empty: its process cannot be killed, and why. Its permits stay taken."""


@dataclass(frozen=True)
class SemaphoreStats:
    """A semaphore as of now. Times are seconds."""

    name: str
    permits: int
    available: int
    holders: list[PermitOwner]
    waiters: list[PermitOwner]
    """In order."""
    longest_wait: float
    """Of all so far, those that wait now included."""
    grants: int
    returned_by_death: int
    """Permits that came back from a killed holder."""
    deadlock: list[str]
    """Holders that wait for one another, one sentence each: none of them goes on by itself."""


class Semaphore(_engine.SemaphoreCore):
    """A number of permits, for threads, asyncio tasks and the jobs of every pool of this process.

    Made in the client and passed to jobs like any argument. A permit comes back when its block
    ends, when the job ends, and when the job's worker is killed: then not before its whole process
    tree is confirmed gone. First come, first served. Any thread may use it.

        db = hardstop.Semaphore(3, name="db")
        with db as permit: ...              # also in jobs
        async with db as permit: ...
        pool.options(needs={db: 1}).submit(query)

    In a job it asks the client, which takes a round trip; giving back takes none. One that was
    passed to a job is kept for as long as the client lives: make them once, not per request.
    """

    def __init__(self, value: int = 1, *, name: str | None = None) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 2**31:
            raise ValueError(f"Semaphore({value!r}): give the number of permits, 1 to 2147483647")
        super().__init__(value, name or "")

    def acquire(
        self, blocking: bool = True, timeout: float | None = None, *, n: int = 1
    ) -> Permit | None:
        """Waits for ``n`` permits; their Permit, or None if there was none in time.

        They are held until ``release()`` here, or on the Permit. ``blocking`` and ``timeout`` are
        those of ``threading.Semaphore``. HardstopError in a job that is being killed.
        """
        if not blocking:
            if timeout is not None:
                raise ValueError("acquire(blocking=False) does not wait: leave out the timeout")
            timeout = -1.0
        elif timeout is not None and timeout < 0:
            raise ValueError(f"timeout={timeout!r}: give 0 or more seconds, or None")
        return self._acquire(_checked(n), timeout)

    def release(self) -> None:
        """Gives back what this thread, or task, acquired last. HardstopError if it has nothing."""
        if not self._give_back(_owner()):
            raise _not_held(self)

    async def acquire_async(self, *, n: int = 1) -> Permit:
        """Awaits ``n`` permits, in asyncio: their Permit.

        Cancelled, it leaves the queue, and what was granted in that moment goes to the next.
        """
        permit = await self._await_permit(_checked(n))
        self._keep(0, _owner(), permit)
        return permit

    async def _await_permit(self, n: int) -> Permit:
        await _room_to_ask()
        return await _await_grant(self._ask(n, True, *_task()))

    def hold(self, n: int = 1) -> Hold:
        """A block of its own: ``with db.hold(2) as permit``, ``async with``.

        What it holds comes back with it, also if the block is never left: in a generator that
        nobody finishes.
        """
        return Hold({self: n})

    async def __aenter__(self) -> Permit:
        block = id(sys._getframe(1))
        permit = await self._await_permit(1)
        self._keep(block, _owner(), permit)
        return permit

    async def __aexit__(self, *exception: object) -> None:
        self._leave_block(id(sys._getframe(1)), _owner())

    def needed(self) -> Permit | None:
        """In a job that was submitted with ``needs``: its Permit, for ``fence`` and ``abandoned``.

        None if the job did not need this semaphore. It is given back with the job.
        """
        return self._needed()

    @property
    def name(self) -> str:
        """What it is called in statistics."""
        return self._name.strip("'")

    def stats(self) -> SemaphoreStats:
        """In the client only: HardstopError elsewhere."""
        told = self._stats()
        told["holders"] = [PermitOwner(*each) for each in told["holders"]]
        told["waiters"] = [PermitOwner(*each) for each in told["waiters"]]
        return SemaphoreStats(**told)

    def __reduce__(self) -> Any:
        return _attached, (type(self), *self.travel())

    def __repr__(self) -> str:
        return f"<hardstop.{type(self).__name__} {self._name}>"


class Lock(Semaphore):
    """One permit. Not reentrant. ``abandoned`` of its Permit tells that a holder was killed."""

    def __init__(self, *, name: str | None = None) -> None:
        super().__init__(1, name=name)


class Hold:
    """Permits for one block: of several semaphores all at once, or none."""

    def __init__(self, wants: Mapping[Semaphore, int]) -> None:
        self._wants = _pairs(wants)
        self._permit: Permit | None = None

    def _check_unused(self) -> None:
        if self._permit is not None:
            raise RuntimeError("this hold is in use: make one for each block")

    def __enter__(self) -> Permit:
        self._check_unused()
        permit = _engine.ask_for_all(self._wants, True, 0, "")
        try:
            permit.wait(None)
        except BaseException:
            permit.withdraw()
            raise
        self._permit = permit
        return permit

    def __exit__(self, *exception: object) -> None:
        permit, self._permit = self._permit, None
        if permit is not None and permit.held:
            permit.release()

    async def __aenter__(self) -> Permit:
        self._check_unused()
        await _room_to_ask()
        permit = await _await_grant(_engine.ask_for_all(self._wants, True, *_task()))
        self._permit = permit
        return permit

    async def __aexit__(self, *exception: object) -> None:
        self.__exit__()


def acquire_all(wants: Mapping[Semaphore, int]) -> Hold:
    """All of these at once, or none: ``with acquire_all({db: 1, gpu: 2}) as permit``.

    Waits for the moment in which everything is there, and stands in nobody's way until then.
    """
    return Hold(wants)


def needs_of(wants: Mapping[Semaphore, int] | None) -> tuple[tuple[Semaphore, int], ...] | None:
    """What ``options(needs=...)`` was given, checked."""
    return None if not wants else tuple(_pairs(wants))


def _pairs(wants: Mapping[Semaphore, int]) -> list[tuple[Semaphore, int]]:
    if not isinstance(wants, Mapping) or not wants:
        raise TypeError(f"{wants!r}: give a dictionary of semaphores and numbers, {{db: 1}}")
    for semaphore in wants:
        if not isinstance(semaphore, Semaphore):
            raise TypeError(f"{semaphore!r} is no hardstop.Semaphore: only these are leased")
    return [(semaphore, _checked(n)) for semaphore, n in wants.items()]


def _checked(n: int) -> int:
    if isinstance(n, bool) or not isinstance(n, int) or not 0 < n < 2**31:
        raise ValueError(f"{n!r} permits: give a number, 1 or more")
    return n


def _not_held(semaphore: Semaphore) -> Exception:
    from ._errors import HardstopError

    return HardstopError(
        f"{semaphore!r} is not held by this {'task' if _current_task() else 'thread'}: it was "
        "released already, or acquired by another one, which has to release it"
    )


def _attached(kind: type[Semaphore], number: int, permits: int) -> Semaphore:
    found: Semaphore = kind.find(kind, number, permits)
    return found


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def _owner() -> int:
    task = _current_task()
    return threading.get_ident() if task is None else id(task)


def _task() -> tuple[int, str]:
    """Who asks, for statistics and deadlocks."""
    task = _current_task()
    return (0, "") if task is None else (id(task), f"task {task.get_name()!r} of the client")


async def _room_to_ask() -> None:
    """A job has so many unanswered requests at most; its loop is not to stand still for that."""
    while not _engine.can_ask():
        await asyncio.sleep(_LOOK_AGAIN)


async def _await_grant(permit: Permit) -> Permit:
    if permit.held:
        return permit
    try:
        if _engine.in_job():
            while not permit.look():
                await asyncio.sleep(_LOOK_AGAIN)
            return permit
        loop = asyncio.get_running_loop()
        granted = loop.create_future()

        def tell() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(_resolve, granted)

        if permit.call_when_granted(tell):
            await granted
        permit.look()
    except BaseException:
        permit.withdraw()
        raise
    return permit


def _resolve(granted: asyncio.Future[None]) -> None:
    if not granted.done():
        granted.set_result(None)
