"""The three use cases, as their users write them."""

from __future__ import annotations

import asyncio
import time
from functools import partial

import pytest

from hardstop import (
    ProcessCancelledError,
    ProcessCancelTimeout,
    ProcessPoolExecutor,
    ProcessTimeout,
    ProcessTimeoutError,
)
from jobs import say_and_sleep
from support import gone, run_script, running, said


def test_asyncio_as_written(tmp_path):
    path = tmp_path / "started"

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(
                loop.run_in_executor(ProcessPoolExecutor(), say_and_sleep, str(path), 60.0), 1.0
            )

    asyncio.run(main())
    gone(int(said(path)))  # G2


def test_asyncio_task_cancelled(tmp_path):
    path = tmp_path / "started"
    exe = ProcessPoolExecutor(2)

    async def run() -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(
            exe, partial(say_and_sleep, str(path), 60.0), ProcessCancelTimeout(0.0)
        )

    async def main() -> None:
        task = asyncio.create_task(run())
        while not path.exists():
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    gone(int(said(path)))  # G2
    exe.shutdown()


def test_synchronous_as_written():
    with ProcessPoolExecutor() as exe:
        fut = exe.submit(time.sleep, 10.0, ProcessTimeout(0.5))
        with pytest.raises(ProcessTimeoutError):
            fut.result()
        fut = exe.submit(time.sleep, 10.0, ProcessCancelTimeout(0.0))
        running(fut)
        assert fut.cancel()
        with pytest.raises(ProcessCancelledError):
            fut.result()


SCRIPT = """
    import asyncio, time
    from functools import partial
    from hardstop import ProcessPoolExecutor, ProcessCancelTimeout

    async def main():
        loop = asyncio.get_running_loop()
        try:
            await asyncio.wait_for(
                loop.run_in_executor(ProcessPoolExecutor(), time.sleep, 60.0), 0.5)
        except asyncio.TimeoutError:
            print("timed out")
        exe = ProcessPoolExecutor()
        async def run():
            await loop.run_in_executor(exe, partial(time.sleep, 60.0), ProcessCancelTimeout(0.0))
        task = asyncio.create_task(run())
        await asyncio.sleep(0.2)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            print("cancelled")

    asyncio.run(main())
"""


def test_unguarded_script_leaves_nothing(tmp_path):
    """No ``if __name__ == "__main__"``, no shutdown: the default start method, to a clean exit."""
    assert run_script(SCRIPT, tmp_path).split("\n")[:2] == ["timed out", "cancelled"]
