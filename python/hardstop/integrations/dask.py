"""Jobs that really stop, on a Dask cluster.

Scheduling, transport, membership and retries are Dask's. Each job runs in the hardstop pool of
whichever Dask worker gets it, so that it can be stopped with its whole process tree, and the
worker's slot is free at once. hardstop must be installed where the scheduler and the workers run.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import threading
import uuid
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

import dask as _dask
from distributed import Client, KilledWorker

from .._errors import HardstopError, ProcessCancelledError, WorkerDiedError
from .._future import Future
from .._outcome import Kind, Outcome
from .._pickling import job_name
from .._submitting import Submitting, _checked_options
from .._token import CancelToken
from . import _dask_messages as messages
from ._cluster_future import ClusterFuture
from ._dask_messages import End
from ._dask_scheduler import Routes
from ._dask_worker import Jobs, run_job

__all__ = ["ClusterExecutor", "ClusterFuture", "ClusterView"]

T = TypeVar("T")

_OPTIONS: dict[str, Any] = {
    "timeout": None,
    "grace": None,
    "priority": 0,
    "retries": 0,
    "max_memory": None,
    "leftovers": "keep",
    "name": None,
    "cancel_on": None,
    "resources": None,
    "workers": None,
    "allow_other_workers": False,
}
# Which of them are Dask's own.
_OF_DASK = ("priority", "retries", "resources", "workers", "allow_other_workers")
_OF_POOL = ("timeout", "grace", "max_memory", "leftovers", "name", "retries")


_CALLBACKS = "hardstop-callbacks"

_executors: weakref.WeakKeyDictionary[Client, weakref.WeakSet[ClusterExecutor]]
_executors = weakref.WeakKeyDictionary()


def _listen(client: Client, executor: ClusterExecutor) -> None:
    """Has it told what the scheduler says to this client."""
    executors = _executors.get(client)
    if executors is None:
        executors = _executors[client] = weakref.WeakSet()
        client._stream_handlers[messages.TOLD] = functools.partial(_told, executors)
    executors.add(executor)


def _told(
    executors: weakref.WeakSet[ClusterExecutor],
    key: str,
    what: str,
    worker: str | None = None,
    end: bytes | None = None,
) -> None:
    for executor in list(executors):
        executor._told(key, what, worker, end)


def _account(kind: Kind, job: ClusterFuture[Any], text: str) -> Outcome:
    """Of a job whose worker cannot tell any more."""
    return Outcome(
        kind=kind,
        job=job._name,
        text=text,
        pid=0,
        attempt=1 if job._begun_on else 0,
        ran_for=0.0,
        cancel="not requested",
        processes_stopped=0,
    )


class _Followed:
    """A token, and the jobs that follow it."""

    def __init__(self, token: CancelToken) -> None:
        self.token = token
        self.jobs: set[ClusterFuture[Any]] = set()


class _ClusterSubmitting(Submitting):
    _given: dict[str, Any]

    def _executor_(self) -> ClusterExecutor:
        raise NotImplementedError

    def _submit(
        self, fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Future[T]:
        return self._executor_()._begin(self._given, fn, args, kwargs)

    def _submit_all(self, fn: Callable[..., T], calls: Any, futures: list[Future[T]]) -> None:
        for args in calls:
            futures.append(self._submit(fn, args, {}))

    def options(self, **changes: Any) -> ClusterView:  # type: ignore[override]
        """A view of the executor whose jobs have these options; itself an Executor.

        ``timeout``, ``grace``, ``max_memory``, ``leftovers``, ``name``, ``cancel_on`` and
        ``kill_on_abandon`` as in :meth:`hardstop.ProcessPoolExecutor.options`; the name is also
        that of Dask's tasks. Dask's own: ``priority`` (higher first), ``retries`` (further attempts
        if the job's process died; never after an exception, a time limit or a cancel),
        ``resources``, ``workers``, ``allow_other_workers``. A token is followed in the client.
        """
        kill_on_abandon = changes.pop("kill_on_abandon", self._kill_on_abandon)
        unknown = changes.keys() - _OPTIONS.keys()
        if unknown:
            raise TypeError(f"options() got unexpected {', '.join(sorted(unknown))}")
        return ClusterView(self._executor_(), {**self._given, **changes}, kill_on_abandon)


class ClusterExecutor(_ClusterSubmitting):
    """An executor whose jobs run on a Dask cluster and can be stopped there.

    ``client``: a ``distributed.Client``, not an asynchronous one; it stays the caller's to close.
    Futures can be awaited in any event loop. Among arguments, Dask's own futures become what they
    stand for, on the worker. Outcomes and errors are those of
    :class:`hardstop.ProcessPoolExecutor`. A lost worker's jobs run again elsewhere, as Dask has it;
    ``current_job().attempt`` tells. If this client ends, its jobs are stopped.

    Raises TypeError for another kind of client, and HardstopError if scheduler or workers cannot
    import hardstop. Any thread may use it. Done callbacks run in a thread of its own.
    """

    def __init__(self, client: Client) -> None:
        if not isinstance(client, Client):
            raise TypeError(f"ClusterExecutor({client!r}): give a distributed.Client")
        if client.asynchronous:
            raise TypeError(
                "ClusterExecutor takes a client made without asynchronous=True: it never blocks "
                "an event loop, and its futures can be awaited in any"
            )
        self._client: Any = client
        self._given = dict(_OPTIONS)
        self._lock = threading.Lock()
        self._shut_down = False
        self._unfinished: dict[str, ClusterFuture[Any]] = {}
        self._following: dict[str, asyncio.Task[None]] = {}
        self._tokens: dict[int, _Followed] = {}
        self._callbacks: concurrent.futures.ThreadPoolExecutor | None = None
        try:
            client.register_plugin(Routes())
            client.register_plugin(Jobs())
        except Exception as error:
            raise HardstopError(
                "hardstop could not be set up on the Dask cluster: install the same version of it "
                f"where the scheduler and the workers run ({type(error).__name__}: {error})"
            ) from error
        _listen(client, self)

    def _executor_(self) -> ClusterExecutor:
        return self

    # --- one job

    def _begin(
        self,
        options: dict[str, Any],
        fn: Callable[..., T],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> ClusterFuture[T]:
        name = options["name"] or job_name(fn)
        key = f"{name}-{uuid.uuid4().hex}"
        job: ClusterFuture[T] = ClusterFuture(self, key, name)
        call = {each: options[each] for each in _OF_POOL} | {"name": name}
        of_dask = {each: options[each] for each in _OF_DASK}
        with self._lock:
            if self._shut_down:
                raise RuntimeError("cannot schedule new futures after shutdown")
            try:
                with _dask.annotate(**{messages.ANNOTATION: 1}):
                    task = self._client.submit(
                        run_job, call, fn, args, kwargs, key=key, pure=False, **of_dask
                    )
            except Exception as error:
                if self._client.status not in ("running", "connecting"):
                    raise RuntimeError(
                        f"cannot schedule new futures: the Dask client is {self._client.status}"
                    ) from error
                job._fail(error, None)  # what cannot be pickled
                return job
            self._unfinished[key] = job
        self._loop().call_soon_threadsafe(self._begin_to_follow, job, task)
        if options["cancel_on"] is not None:
            self._follow_token(options["cancel_on"], job)
        return job

    def _loop(self) -> asyncio.AbstractEventLoop:
        loop: asyncio.AbstractEventLoop = self._client.loop.asyncio_loop
        return loop

    def _stop(self, job: ClusterFuture[Any], mode: str, grace: float | None) -> None:
        """In any thread. Sent in the loop's, where no end can come in between."""
        with contextlib.suppress(RuntimeError):  # the loop is closed, and every job has its end
            self._loop().call_soon_threadsafe(self._send_stop, job, mode, grace)

    def _send_stop(self, job: ClusterFuture[Any], mode: str, grace: float | None) -> None:
        if not job.done() and self._client.status == "running":
            self._client._send_to_scheduler_safe(
                {"op": messages.STOP, "key": job.key, "mode": mode, "grace": grace}
            )

    # --- in the client's event loop

    def _begin_to_follow(self, job: ClusterFuture[Any], task: Any) -> None:
        if not job.done():
            self._following[job.key] = self._loop().create_task(self._follow(job, task))

    async def _follow(self, job: ClusterFuture[Any], task: Any) -> None:
        """Brings the result here. Of what has none, the end comes as a message."""
        try:
            job._end(End(*await self._client.gather(task, asynchronous=True)))
        except asyncio.CancelledError:  # the loop is about to end
            self._lost(job, "its Dask client was closed")
            raise
        except Exception as error:
            self._failed(job, error)
        finally:
            # Dask forgets it when nobody has this.
            task.release()
            self._unfinished.pop(job.key, None)
            self._following.pop(job.key, None)

    def _failed(self, job: ClusterFuture[Any], error: Exception) -> None:
        """Dask has no result."""
        if isinstance(error, WorkerDiedError):
            job._fail(error, error.outcome)
        elif isinstance(error, KilledWorker):
            self._lost(job, str(error))
        elif isinstance(error, concurrent.futures.CancelledError):
            if self._client.status == "running":
                text = f"job '{job._name}' was cancelled by Dask: {error}"
                job._fail(ProcessCancelledError(text), _account("cancelled", job, text))
            else:
                self._lost(job, f"its Dask client is {self._client.status}")
        else:
            job._fail(error, None)

    def _lost(self, job: ClusterFuture[Any], reason: str) -> None:
        text = f"job '{job._name}' was lost: {reason}"
        job._fail(WorkerDiedError(text), _account("worker died", job, text))

    def _told(self, key: str, what: str, worker: str | None, end: bytes | None) -> None:
        job = self._unfinished.get(key)
        if job is None:
            return
        if what == messages.BEGUN:
            job._begun_on = worker
            return
        if what == messages.ENDED:
            assert end is not None
            job._end(End.unpacked(end))
        else:
            job._never_started()

    def _call_back(self, job: ClusterFuture[Any]) -> None:
        """Done callbacks may block: not in the loop's thread."""
        if not job._done_callbacks:
            return
        if self._callbacks is None:
            self._callbacks = concurrent.futures.ThreadPoolExecutor(1, _CALLBACKS)
        try:
            self._callbacks.submit(job._run_callbacks)
        except RuntimeError:  # the interpreter exits: there are no new threads
            job._run_callbacks()

    # --- tokens

    def _follow_token(self, token: CancelToken, job: ClusterFuture[Any]) -> None:
        self._loop().call_soon_threadsafe(self._watch_token, token, job)

    def _watch_token(self, token: CancelToken, job: ClusterFuture[Any]) -> None:
        pipe = token._pipe
        if pipe < 0 or job.done():
            return
        followed = self._tokens.get(pipe)
        if followed is None:
            followed = self._tokens[pipe] = _Followed(token)
            self._loop().add_reader(pipe, self._token_cancelled, followed)
        followed.jobs.add(job)
        job.add_done_callback(lambda _job: self._forget_follower(followed, job))

    def _token_cancelled(self, followed: _Followed) -> None:
        from .. import _engine

        grace = _engine.token_grace(followed.token._pipe)
        if grace is None:
            return
        for job in list(followed.jobs):
            self._send_stop(job, messages.CANCEL, None if grace < 0 else grace)
        self._drop_token(followed)

    def _forget_follower(self, followed: _Followed, job: ClusterFuture[Any]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop().call_soon_threadsafe(self._unfollow, followed, job)

    def _unfollow(self, followed: _Followed, job: ClusterFuture[Any]) -> None:
        followed.jobs.discard(job)
        if not followed.jobs:
            self._drop_token(followed)

    def _drop_token(self, followed: _Followed) -> None:
        pipe = followed.token._pipe
        if self._tokens.get(pipe) is followed:
            del self._tokens[pipe]
            self._loop().remove_reader(pipe)

    # --- the end

    def shutdown(
        self,
        wait: bool = True,
        *,
        cancel_futures: bool = False,
        timeout: float | None = None,
    ) -> None:
        """Takes no more jobs and lets those accepted finish; the cluster goes on.

        After ``timeout`` seconds what still runs is killed, its future raises
        ProcessCancelledError, and what has not started is cancelled. RuntimeError if it is to wait
        in the thread of the client's event loop.
        """
        if wait and self._in_loop():
            raise RuntimeError("shutdown() would wait in Dask's event loop: give wait=False")
        with self._lock:
            self._shut_down = True
            jobs = list(self._unfinished.values())
        if cancel_futures:
            for job in jobs:
                job.take_back()
        if timeout is not None and not wait:
            self._loop().call_soon_threadsafe(
                self._loop().call_later, timeout, self._stop_all, jobs
            )
        if not wait:
            return
        if timeout is not None:
            concurrent.futures.wait(jobs, timeout)
            self._stop_all([job for job in jobs if not job.done()])
        concurrent.futures.wait(jobs)
        self._dasks_part()
        if self._callbacks is not None:
            in_callback = threading.current_thread().name.startswith(_CALLBACKS)
            self._callbacks.shutdown(wait=not in_callback)

    def _dasks_part(self) -> None:
        """Waits until Dask knows the end of each task, too."""

        async def wait() -> None:
            if following := list(self._following.values()):
                await asyncio.wait(following)

        if self._client.status == "running":
            asyncio.run_coroutine_threadsafe(wait(), self._loop()).result()

    def _stop_all(self, jobs: list[ClusterFuture[Any]]) -> None:
        for job in jobs:
            job._ended_by_shutdown = True
            job.kill()

    def _in_loop(self) -> bool:
        return threading.get_ident() == getattr(self._client.loop, "_thread_identity", None)

    def __reduce__(self) -> Any:
        raise TypeError("a ClusterExecutor cannot be pickled: make one where it is needed")


class ClusterView(_ClusterSubmitting):
    """A cluster executor's jobs, with options of their own. Has no end of its own."""

    def __init__(
        self, executor: ClusterExecutor, given: dict[str, Any], kill_on_abandon: bool
    ) -> None:
        _checked_options(dict(given))
        self._executor = executor
        self._given = given
        self._kill_on_abandon = kill_on_abandon

    def _executor_(self) -> ClusterExecutor:
        return self._executor

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Does nothing: the executor it is a view of is to be shut down."""
