"""Back-pressure, and the end of a with block that is interrupted."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

import hardstop
from hardstop import ProcessCancelTimeout, ProcessPoolExecutor, QueueFullError

LIMIT = 30.0  # seconds that only a hang takes


def wait_for(path: str) -> None:
    while not Path(path).exists():
        time.sleep(0.001)


def ends_when_asked(begun: str, ended: str) -> None:
    Path(begun).touch()
    while not hardstop.current_job().cancel_requested:
        time.sleep(0.001)
    Path(ended).touch()


def test_a_full_queue_refuses(tmp_path: Path) -> None:
    with ProcessPoolExecutor(1, max_pending=1, when_full="reject") as pool:
        gate = tmp_path / "gate"
        jobs = []
        with pytest.raises(QueueFullError, match="max_pending"):
            for _ in range(100):
                jobs.append(pool.submit(wait_for, str(gate)))
        gate.touch()
        for job in jobs:
            job.result(LIMIT)


def test_a_full_queue_never_blocks_an_event_loop(tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    async def main() -> None:
        loop = asyncio.get_running_loop()
        jobs = []
        with pytest.raises(QueueFullError):
            for _ in range(100):
                jobs.append(loop.run_in_executor(pool, wait_for, str(gate)))
        gate.touch()
        await asyncio.wait_for(asyncio.gather(*jobs), LIMIT)

    with ProcessPoolExecutor(1, max_pending=1) as pool:
        asyncio.run(main())


def test_an_interrupt_gives_what_runs_its_grace(tmp_path: Path) -> None:
    begun, ended = tmp_path / "begun", tmp_path / "ended"
    with pytest.raises(KeyboardInterrupt), ProcessPoolExecutor(1) as pool:
        job = pool.submit(ends_when_asked, str(begun), str(ended), ProcessCancelTimeout(LIMIT))
        queued = pool.submit(time.sleep, 1000.0)
        wait_for(str(begun))
        raise KeyboardInterrupt
    assert ended.exists()
    assert job.done()
    assert queued.cancelled()
