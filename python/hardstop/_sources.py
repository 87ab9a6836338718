"""Where a service gets its jobs from: sources written in Python, iterables and async iterators.

The adapters speak tuples with C++ (native/records.hpp), each method in the thread that the service
has for such calls: ``take`` in one, ``interrupt`` in a second, what settles jobs in a third.
"""

from __future__ import annotations

import concurrent.futures
import logging
import threading
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ._messages import Encoded, EncodedMessage, Message, encode, name_of

if TYPE_CHECKING:
    import asyncio

NackReason = Literal["failed", "returned", "cancelled", "refused"]

_logger = logging.getLogger("hardstop.service")


@dataclass(frozen=True)
class Receipt:
    """One attempt at one job of a source. Never given out twice."""

    job: str
    """The source's own name for it, the same for every attempt."""
    attempt: int = 1
    """Counted by the source, from 1."""


@dataclass(frozen=True)
class TakenJob:
    """A job that a source has handed out."""

    receipt: Receipt
    message: Message | EncodedMessage
    lease_until: datetime | None = None
    """When the source may give it to somebody else. None: never, as long as this process lives."""
    timeout: float | None = None
    """Seconds for this attempt. None: what the service says for jobs of that name."""
    grace: float | None = None


@dataclass(frozen=True)
class NackedJob:
    """A job that was taken and is not done."""

    receipt: Receipt
    reason: NackReason
    text: str
    """For people: what went wrong."""


class Source(Protocol):
    """What a service can take jobs from.

    One thread of the service calls ``take``; another one calls ``extend``, ``ack`` and ``nack``,
    maybe meanwhile. What raises is tried again, later and later, and is logged.

    It may also have ``interrupt()``, called in a third thread: a ``take`` that waits should return
    at once; ``describe() -> str``: where the jobs come from, for the journal; and ``leases``, False
    if jobs that are not acked do not come back by themselves.
    """

    def take(self, at_most: int, patience: float) -> Sequence[TakenJob] | None:
        """At most so many jobs, as soon as there is one; none if that takes longer than
        ``patience`` seconds. None: there will never be any more."""

    def extend(self, leases: Sequence[Receipt]) -> Iterable[Receipt] | None:
        """Makes leases last as long as fresh ones. Returns those that are lost."""

    def ack(self, done: Sequence[Receipt]) -> Iterable[Receipt] | None:
        """Jobs are done, for good. Returns those that are not leased to us any more."""

    def nack(self, jobs: Sequence[NackedJob]) -> Iterable[Receipt] | None:
        """Jobs are not. Returns those that are not leased to us any more."""

    def on_cancel(self, tell: Callable[[Receipt], None] | None) -> None:
        """``tell`` may be called in any thread when somebody wants a job stopped, until it is
        replaced by None."""


Item = Message | EncodedMessage | str | Callable[..., object] | tuple[Any, ...]

# What C++ takes: (job, attempt, (name, encoding, arguments), lease_until, timeout, grace).
_Taken = tuple[str, int, Encoded, "float | None", "float | None", "float | None"]


def taken_job(told: _Taken) -> TakenJob:
    job, attempt, message, until, timeout, grace = told
    return TakenJob(
        Receipt(job, attempt),
        EncodedMessage(*message),  # type: ignore[arg-type]
        None if until is None else datetime.fromtimestamp(until, timezone.utc),
        timeout,
        grace,
    )


class Encoder:
    """Writes messages of Python's sources as a service wants them.

    What cannot be written is kept as the reason to refuse the job: raised from ``take()`` it would
    lose the job, and look like a source that is out of order.
    """

    def __init__(self, encoding: str, key: bytes | None) -> None:
        self._encoding = encoding
        self._key = key
        self._refusals: dict[str, str] = {}

    def encode(self, job: str, item: Item) -> Encoded:
        try:
            if isinstance(item, EncodedMessage):
                return item.name, item.encoding, item.arguments
            return encode(message_of(item), self._encoding, self._key)
        except Exception as error:
            self._refusals[job] = str(error)
            return str(getattr(item, "name", type(item).__name__)), "json", b"[]"

    def refusal(self, job: str) -> str | None:
        return self._refusals.pop(job, None) if self._refusals else None


def message_of(item: Item) -> Message:
    """What an iterable or ``enqueue_all`` is given: a Message, or (job, *args), or a job alone."""
    if isinstance(item, Message):
        return item
    if isinstance(item, tuple) and item:
        return Message(name_of(item[0]), item[1:])
    if isinstance(item, str) or callable(item):
        return Message(name_of(item))
    raise TypeError(
        f"{item!r} is no job: give hardstop.message(job, …), or a tuple of a job and its arguments"
    )


class Adapter:
    """What C++ calls."""

    description = "a source of the program's own"
    leases = False
    settles = False
    failed = False
    """Whether it ended because something went wrong."""

    def take(self, at_most: int, patience: float, /) -> tuple[list[_Taken], bool]:
        raise NotImplementedError

    def interrupt(self) -> None:
        """The service drains: it will not ask again."""

    def on_cancel(self, tell: Callable[[str, int], None] | None) -> None:
        """None: the service is over."""


class _OneByOne(Adapter):
    """Items that do not come back: each is the service's as soon as it was produced.

    So nothing is produced before it is asked for, and take() waits for what is being produced, even
    when the service drains: it goes where the service's policy says.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._count = 0

    def _taken(self, item: Any) -> _Taken:
        self._count += 1
        job = str(self._count)
        return job, 1, self._encoder.encode(job, item), None, None, None


class FromCollection(_OneByOne):
    """A list or its like: the next item is there at once."""

    def __init__(self, items: Iterable[Any], encoder: Encoder) -> None:
        super().__init__(encoder)
        self.description = f"a {type(items).__name__}"
        self._items = iter(items)

    def take(self, at_most: int, _patience: float, /) -> tuple[list[_Taken], bool]:
        got: list[_Taken] = []
        for item in self._items:
            got.append(self._taken(item))
            if len(got) == at_most:
                return got, False
        return got, True


class FromIterable(_OneByOne):
    """Whatever can be iterated over. Its next() may take for ever, so it has a thread of its own,
    which is left behind if it has not returned when the service is over."""

    def __init__(self, items: Iterable[Any], encoder: Encoder) -> None:
        super().__init__(encoder)
        self.description = f"an iterable ({type(items).__name__})"
        self._items = iter(items)
        self._changed = threading.Condition()
        self._wanted = False
        self._producing = False
        self._got: deque[Any] = deque()
        self._error: BaseException | None = None
        self._exhausted = False
        self._draining = False
        self._over = False
        self._thread: threading.Thread | None = None

    def take(self, at_most: int, _patience: float, /) -> tuple[list[_Taken], bool]:
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._produce, name="hardstop-source", daemon=True
            )
            self._thread.start()
        with self._changed:
            self._wanted = not self._got and not self._draining
            self._changed.notify_all()
            self._changed.wait_for(self._has_answer)
            self._wanted = False
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            got = [self._taken(self._got.popleft()) for _ in range(min(at_most, len(self._got)))]
            return got, self._exhausted and not self._got

    def _has_answer(self) -> bool:
        nothing_comes = self._draining and not self._producing
        return bool(self._got or self._error or self._exhausted or self._over or nothing_comes)

    def interrupt(self) -> None:
        with self._changed:
            self._draining = True
            self._changed.notify_all()

    def on_cancel(self, tell: Callable[[str, int], None] | None) -> None:
        if tell is None:
            with self._changed:
                self._over = self._draining = True
                self._changed.notify_all()

    def _produce(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._over or (self._wanted and not self._got))
                if self._over:
                    return
                self._producing = True
            self._take_next()

    def _take_next(self) -> None:
        item: Any = None
        error: BaseException | None = None
        exhausted = False
        try:
            item = next(self._items)
        except StopIteration:
            exhausted = True
        except BaseException as raised:
            error = raised
        with self._changed:
            self._producing = False
            self._exhausted = exhausted
            if error is not None:
                self.failed = True
                self._error = error
            elif not exhausted and self._over:
                _logger.error(
                    "the iterable gave an item when the service was over: it is lost",
                    extra={"hardstop": {"event": "job_lost"}},
                )
            elif not exhausted:
                self.failed = False
                self._got.append(item)
            self._changed.notify_all()


class FromAsync(_OneByOne):
    """An async iterator, in the loop of ``serve()`` or, under ``run()``, in one of its own."""

    def __init__(
        self,
        items: AsyncIterable[Any],
        encoder: Encoder,
        loop: asyncio.AbstractEventLoop | None,
    ) -> None:
        super().__init__(encoder)
        self.description = f"an async iterator ({type(items).__name__})"
        self._items = items
        self._iterator: AsyncIterator[Any] | None = None
        self._loop = loop
        self._own_loop: _LoopThread | None = None
        self._lock = threading.Lock()
        self._asked: concurrent.futures.Future[tuple[Any, str]] | None = None
        self._pending: asyncio.Task[Any] | None = None
        self._draining = False
        self._over = False

    def take(self, _at_most: int, _patience: float, /) -> tuple[list[_Taken], bool]:
        import asyncio

        if self._loop is None:
            self._own_loop = _LoopThread()
            self._loop = self._own_loop.loop
        with self._lock:
            if self._over:
                return [], False
            self._asked = asyncio.run_coroutine_threadsafe(self._next(), self._loop)
        try:
            item, state = self._asked.result()
        except concurrent.futures.CancelledError:  # it did not let itself be cancelled in time
            return [], False
        except BaseException:
            self.failed = True
            raise
        if state == "item":
            self.failed = False
        return [self._taken(item)] if state == "item" else [], state == "exhausted"

    async def _next(self) -> tuple[Any, str]:
        import asyncio

        if self._draining:
            return None, "nothing"
        if self._iterator is None:
            self._iterator = aiter(self._items)
        self._pending = asyncio.ensure_future(self._iterator.__anext__())
        try:
            return await self._pending, "item"
        except StopAsyncIteration:
            return None, "exhausted"
        except asyncio.CancelledError:
            if not self._draining:
                raise
            return None, "nothing"
        finally:
            self._pending = None

    def interrupt(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._cancel_pending)

    def on_cancel(self, tell: Callable[[str, int], None] | None) -> None:
        if tell is None:
            with self._lock:
                self._over = True
                if self._asked is not None:
                    self._asked.cancel()

    def _cancel_pending(self) -> None:
        self._draining = True
        if self._pending is not None:
            self._pending.cancel()

    async def aclose(self) -> None:
        """In its loop, when the service is over."""
        self._cancel_pending()
        close = getattr(self._iterator, "aclose", None)
        if close is not None:
            await close()

    def end(self, patience: float) -> None:
        """The service is over: closes it, unless that takes too long."""
        import asyncio

        if self._loop is None or self._loop.is_closed():
            return
        closing = asyncio.run_coroutine_threadsafe(self.aclose(), self._loop)
        try:
            closing.result(patience)
        except Exception as error:
            closing.cancel()
            _logger.warning(
                "closing the source failed: %s: %s",
                type(error).__name__,
                error,
                extra={"hardstop": {"event": "source_failed"}},
            )
        if self._own_loop is not None:
            self._own_loop.end(patience)


class _LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        import asyncio

        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="hardstop-source", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        import asyncio

        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()

    def end(self, patience: float) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(patience)


class FromSource(Adapter):
    """An object with the methods of :class:`Source`."""

    settles = True

    def __init__(self, source: Source, encoder: Encoder) -> None:
        self._source = source
        self._encoder = encoder
        self._interrupt = getattr(source, "interrupt", None)
        describe = getattr(source, "describe", None)
        self.description = f"a {type(source).__name__}" if describe is None else str(describe())
        leases = getattr(source, "leases", True)
        self.leases = bool(leases() if callable(leases) else leases)

    def take(self, at_most: int, patience: float, /) -> tuple[list[_Taken], bool]:
        got = self._source.take(at_most, patience)
        return ([], True) if got is None else ([self._told(each) for each in got], False)

    def _told(self, job: TakenJob) -> _Taken:
        until = job.lease_until
        return (
            job.receipt.job,
            job.receipt.attempt,
            self._encoder.encode(job.receipt.job, job.message),
            None if until is None else until.timestamp(),
            job.timeout,
            job.grace,
        )

    def interrupt(self) -> None:
        if self._interrupt is not None:
            self._interrupt()

    def extend(self, leases: list[tuple[str, int]]) -> list[tuple[str, int]]:
        return _told(self._source.extend([Receipt(*each) for each in leases]))

    def ack(self, done: list[tuple[str, int]]) -> list[tuple[str, int]]:
        return _told(self._source.ack([Receipt(*each) for each in done]))

    def nack(self, jobs: list[tuple[str, int, NackReason, str]]) -> list[tuple[str, int]]:
        told = [NackedJob(Receipt(job, attempt), why, text) for job, attempt, why, text in jobs]
        return _told(self._source.nack(told))

    def on_cancel(self, tell: Callable[[str, int], None] | None) -> None:
        if tell is None:
            self._source.on_cancel(None)
        else:
            self._source.on_cancel(lambda which: tell(which.job, which.attempt))


def _told(receipts: Iterable[Receipt] | None) -> list[tuple[str, int]]:
    return [(each.job, each.attempt) for each in receipts or ()]


_METHODS = ("take", "extend", "ack", "nack", "on_cancel")


def adapt(source: Any, encoder: Encoder, loop: asyncio.AbstractEventLoop | None) -> Adapter:
    """What C++ can take jobs from. ``loop``: of serve()."""
    if all(callable(getattr(source, name, None)) for name in _METHODS):
        return FromSource(source, encoder)
    if hasattr(source, "__aiter__"):
        return FromAsync(source, encoder, loop)
    if isinstance(source, (list, tuple, range, deque, set, frozenset, dict)):
        return FromCollection(source, encoder)
    if hasattr(source, "__iter__") and not isinstance(source, (str, bytes)):
        return FromIterable(source, encoder)
    raise TypeError(
        f"{source!r} is no source: give a Queue, an iterable, an async iterator, or an object with "
        "the methods of hardstop.Source"
    )
