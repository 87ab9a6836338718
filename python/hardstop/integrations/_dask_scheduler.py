"""In the Dask scheduler: brings a stop to the worker that has the task, whichever that is."""

from __future__ import annotations

from typing import Any, NamedTuple

from distributed import SchedulerPlugin

from . import _dask_messages as messages


class _Wanted(NamedTuple):
    client: str
    mode: str
    grace: float | None


class Routes(SchedulerPlugin):  # type: ignore[misc]
    """Knows which jobs are to be stopped, until Dask has forgotten them.

    So a stop finds a task that comes after it, that moves to another worker, or that Dask would
    start again because its worker was lost. Runs in the scheduler's event loop.
    """

    name = messages.PLUGIN
    idempotent = True

    async def start(self, scheduler: Any) -> None:
        self._scheduler = scheduler
        self._wanted: dict[str, _Wanted] = {}
        scheduler.stream_handlers[messages.STOP] = self.stop
        scheduler.stream_handlers[messages.TOLD] = self.told

    def stop(self, client: str, key: str, mode: str, grace: float | None) -> None:
        """A client wants its job stopped."""
        self._wanted[key] = _Wanted(client, mode, grace)
        self._pursue(key)

    def told(self, worker: str, key: str, what: str, end: bytes | None = None) -> None:
        """A worker tells of a job."""
        if what in (messages.BEGUN, messages.ENDED):
            task = self._scheduler.tasks.get(key)
            if task is None:
                return
            if what == messages.ENDED:
                # Its result is its end: whatever happens to the worker, it is not run again.
                self._wanted[key] = _Wanted("", messages.ENDED, None)
            told = {"op": messages.TOLD, "key": key, "what": what, "worker": worker, "end": end}
            self._scheduler.report(told, ts=task)
        elif key in self._wanted and self._has(worker, key):
            if what == messages.NOT_STARTED:
                self._never_start(key)
        else:  # it has moved meanwhile
            self._pursue(key)

    def _has(self, worker: str, key: str) -> bool:
        task = self._scheduler.tasks.get(key)
        return (
            task is not None and task.state == "processing" and task.processing_on.address == worker
        )

    def _pursue(self, key: str) -> None:
        wanted, task = self._wanted.get(key), self._scheduler.tasks.get(key)
        if wanted is None or task is None or task.state in ("memory", "erred", "forgotten"):
            return
        if task.state != "processing":
            self._never_start(key)
        elif wanted.mode != messages.ENDED:
            message = {
                "op": messages.STOP,
                "key": key,
                "mode": wanted.mode,
                "grace": wanted.grace,
            }
            self._scheduler.stream_comms[task.processing_on.address].send(message)

    def _never_start(self, key: str) -> None:
        wanted = self._wanted[key]
        if wanted.mode == messages.ASK:
            return  # it hears of it when it has started
        if wanted.mode != messages.ENDED:
            told = {"op": messages.TOLD, "key": key, "what": messages.NOT_STARTED}
            self._scheduler.report(told, client=wanted.client)
        for client in [each.client_key for each in self._scheduler.tasks[key].who_wants or ()]:
            self._scheduler.client_releases_keys([key], client)
            # Dask's own future must end as well.
            self._scheduler.report({"op": "cancelled-keys", "keys": [key]}, client=client)

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        if finish == "forgotten":
            self._wanted.pop(key, None)
            return
        task = self._scheduler.tasks.get(key)
        annotations = None if task is None else task.annotations
        if not annotations or messages.ANNOTATION not in annotations:
            return
        wanted = self._wanted.get(key)
        if start in ("processing", "memory") and finish == "released":
            attempt = annotations[messages.ANNOTATION] + 1
            if wanted is not None and wanted.mode != messages.ASK:
                attempt = messages.MUST_NOT_START
            task.annotations = {**annotations, messages.ANNOTATION: attempt}
        if wanted is not None:
            # Not in the middle of a transition.
            self._scheduler.loop.add_callback(self._pursue, key)

    def remove_client(self, scheduler: Any, client: str) -> None:
        self._wanted = {key: each for key, each in self._wanted.items() if each.client != client}
