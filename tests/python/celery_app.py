"""A Celery application that a test's worker runs. Where its broker is, the environment tells."""

from __future__ import annotations

import os
from typing import Any

import celery

import hardstop
import jobs
from hardstop.integrations.celery import killable_task

app = celery.Celery(
    "celery_app",
    broker=os.environ.get("HARDSTOP_TEST_REDIS", "memory://"),
    backend=os.environ.get("HARDSTOP_TEST_REDIS", "cache+memory://"),
)
app.conf.update(
    # Seconds after which a message that nobody acknowledges is given to another worker.
    broker_transport_options={
        "visibility_timeout": float(os.environ.get("HARDSTOP_TEST_VISIBILITY", "3600"))
    },
    broker_connection_retry_on_startup=True,
    accept_content=["json", "pickle"],
    result_accept_content=["json", "pickle"],
    worker_prefetch_multiplier=1,
)


@app.task
def own_pid() -> int:
    return os.getpid()


@app.task(serializer="pickle")
def wrapped(name: str, *args: Any, **limits: Any) -> Any:
    """Plain ``killable_wrapper`` in a task of nobody's."""
    return hardstop.killable_wrapper(getattr(jobs, name), *args, **limits)


@killable_task(app)
def call(name: str, *args: Any) -> Any:
    return getattr(jobs, name)(*args)


@killable_task(app, acks_late=True)
def call_late(name: str, *args: Any) -> Any:
    return getattr(jobs, name)(*args)


@killable_task(app, acks_late=True)
def daemonize_at_first(path: str) -> str:
    if not os.path.exists(path):
        jobs.daemonize(path)
    return "again"


@killable_task(app, timeout=1.0)
def call_for_a_second(name: str, *args: Any) -> Any:
    return getattr(jobs, name)(*args)


@killable_task(app, soft_time_limit=0.5, time_limit=60)
def call_softly(name: str, *args: Any) -> Any:
    return getattr(jobs, name)(*args)


@killable_task(app, grace=60)
def call_politely(name: str, *args: Any) -> Any:
    return getattr(jobs, name)(*args)


@killable_task(app, max_memory=50 << 20)
def eat(size: int) -> int:
    return jobs.eat_memory(size)


@killable_task(
    app, autoretry_for=(LookupError,), max_retries=2, retry_backoff=False, default_retry_delay=0
)
def fail_twice(path: str) -> int:
    with open(path, "a+") as file:
        file.write("x")
        file.seek(0)
        times = len(file.read())
    if times < 3:
        raise LookupError("not yet")
    return times


@killable_task(app)
def meet(folder: str, me: int, others: int) -> int:
    """Ends when so many of them run at the same time."""
    jobs.say(f"{folder}/{me}")
    for each in range(others):
        jobs.wait_for_file(f"{folder}/{each}")
    return os.getpid()
