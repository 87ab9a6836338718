"""asyncio: what a cancel, a timeout and a loop's end do to jobs."""

from __future__ import annotations

import asyncio
import sys
import threading
import time

import pytest

import hardstop
from hardstop import ProcessCancelTimeout, ProcessTimeout
from jobs import double, fail, raise_when_asked, say_and_sleep, stop_when_asked
from support import PATIENCE, alive, said


async def appears(path):
    while not path.exists() or not path.read_text().endswith("\n"):
        await asyncio.sleep(0.002)
    return int(path.read_text())


async def gone(*pids):
    """The loop runs on meanwhile: it is what tells the future of a cancel."""
    while any(alive(pid) for pid in pids):
        await asyncio.sleep(0.002)


def limited(main):
    """Runs it to its end, which must come."""
    return asyncio.run(asyncio.wait_for(main, PATIENCE))


def test_run_in_executor(any_pool):
    async def main():
        loop = asyncio.get_running_loop()
        assert await loop.run_in_executor(any_pool, double, 4) == 8
        with pytest.raises(ValueError, match="no"):
            await loop.run_in_executor(any_pool, fail)
        with pytest.raises(asyncio.TimeoutError):
            await loop.run_in_executor(any_pool, time.sleep, 600, ProcessTimeout(0.05))
        futures = [loop.run_in_executor(any_pool, double, at) for at in range(100)]
        assert await asyncio.gather(*futures) == list(range(0, 200, 2))

    limited(main())


def test_cancelling_run_in_executor_kills(any_pool, tmp_path):
    """asyncio leaves such a job running, with its side effects and its slot."""

    async def main():
        loop = asyncio.get_running_loop()
        for at in range(5):
            path = tmp_path / str(at)
            future = loop.run_in_executor(any_pool, say_and_sleep, str(path))
            pid = await appears(path)
            future.cancel()
            with pytest.raises(asyncio.CancelledError):
                await future
            await gone(pid)

    limited(main())


def test_what_shutdown_killed_is_not_a_cancelled_task(pool, tmp_path):
    async def main():
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(pool, say_and_sleep, str(tmp_path / "a"))
        await appears(tmp_path / "a")
        pool.shutdown(wait=False, timeout=0)
        with pytest.raises(hardstop.ProcessCancelledError):
            await future
        assert not future.cancelled()

    limited(main())


def test_run_confirms_the_end(any_pool, tmp_path):
    """G2: CancelledError comes when the tree is gone."""

    async def main():
        for at in range(5):
            task = asyncio.create_task(any_pool.run(say_and_sleep, str(tmp_path / str(at))))
            pid = await appears(tmp_path / str(at))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not alive(pid)
            assert task.cancelled()

    limited(main())


def test_run_with_options(any_pool):
    async def main():
        assert await any_pool.run(double, 3) == 6
        with pytest.raises(hardstop.ProcessTimeoutError):
            await any_pool.run(time.sleep, 600, timeout=0.05)
        with pytest.raises(ValueError):
            await any_pool.run(fail)
        assert await any_pool.options(name="x").run(double, 4) == 8

    limited(main())


def test_a_second_cancel_is_a_kill(pool, tmp_path):
    async def main():
        task = asyncio.create_task(
            pool.run(say_and_sleep, str(tmp_path / "a"), ProcessCancelTimeout(1000))
        )
        pid = await appears(tmp_path / "a")
        task.cancel()
        await asyncio.sleep(0.05)
        assert not task.done()
        assert alive(pid)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not alive(pid)

    limited(main())


def test_a_value_within_the_grace_ends_a_cancelled_run_all_the_same(pool, tmp_path):
    """Structured concurrency needs the CancelledError; the value is lost, the job has obeyed."""

    async def main():
        for job in (stop_when_asked, raise_when_asked):
            path = tmp_path / job.__name__
            task = asyncio.create_task(pool.run(job, str(path), ProcessCancelTimeout(PATIENCE)))
            await appears(path)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    limited(main())
    assert pool.stats()["kills"] == 0


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Task.uncancel is new in 3.11")
def test_uncancel_counts_right(pool, tmp_path):
    async def main():
        path = tmp_path / "a"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(None) as limit:
                task = asyncio.current_task()

                async def soon():
                    await appears(path)
                    limit.reschedule(asyncio.get_running_loop().time())

                helper = asyncio.create_task(soon())
                await pool.run(say_and_sleep, str(path))
        assert task.cancelling() == 0
        await helper
        assert await pool.run(double, 2) == 4

    limited(main())


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.timeout is new in 3.11")
def test_an_outer_cancel_wins_over_an_inner_timeout(pool, tmp_path):
    async def main():
        path = tmp_path / "a"

        async def inner():
            async with asyncio.timeout(0.3):
                await pool.run(say_and_sleep, str(path), ProcessCancelTimeout(0.5))

        task = asyncio.create_task(inner())
        await appears(path)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    limited(main())


@pytest.mark.skipif(sys.version_info < (3, 11), reason="TaskGroup is new in 3.11")
def test_task_group(pool, tmp_path):
    async def main():
        path = tmp_path / "a"
        with pytest.raises(BaseExceptionGroup) as caught:  # noqa: F821
            async with asyncio.TaskGroup() as group:
                group.create_task(pool.run(say_and_sleep, str(path)))
                pid = await appears(path)
                group.create_task(pool.run(fail, "one"))
        assert [type(each) for each in caught.value.exceptions] == [ValueError]
        assert not alive(pid)

    limited(main())


def test_wait_for(pool, tmp_path):
    async def main():
        loop = asyncio.get_running_loop()
        with pytest.raises(asyncio.TimeoutError):
            future = loop.run_in_executor(pool, say_and_sleep, str(tmp_path / "a"))
            await asyncio.wait_for(future, 0.7)
        await gone(int(said(tmp_path / "a")))
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(pool.run(say_and_sleep, str(tmp_path / "b")), 0.7)
        assert not alive(int(said(tmp_path / "b")))

    limited(main())


def test_wrap_future(pool, tmp_path):
    async def main():
        assert await asyncio.wrap_future(pool.submit(double, 5)) == 10
        future = pool.submit(say_and_sleep, str(tmp_path / "a"))
        wrapped = asyncio.wrap_future(future)
        pid = await appears(tmp_path / "a")
        future.cancel()
        with pytest.raises(asyncio.CancelledError):
            await wrapped
        await gone(pid)

    limited(main())


def test_amap(any_pool, tmp_path):
    async def main():
        assert [each async for each in any_pool.amap(double, range(20))] == list(range(0, 40, 2))
        paths = [str(tmp_path / str(at)) for at in range(2)]
        results = any_pool.amap(say_and_sleep, paths)

        async def take():
            async for _ in results:
                pass

        task = asyncio.create_task(take())
        pids = [await appears(tmp_path / str(at)) for at in range(2)]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await gone(*pids)

    limited(main())


def test_leaving_amap_early_kills(pool, tmp_path):
    async def main():
        results = pool.amap(stop_or_sleep, ["", str(tmp_path / "a")])
        async for each in results:
            assert each == ""
            break
        pid = await appears(tmp_path / "a")
        await results.aclose()
        await gone(pid)

    limited(main())


def stop_or_sleep(path):
    return say_and_sleep(path) if path else path


def test_a_loop_that_ends_before_the_job(pool, tmp_path, caplog):
    async def main():
        asyncio.get_running_loop().run_in_executor(pool, time.sleep, 0.2)

    asyncio.run(main())
    pool.shutdown()


def test_two_loops_in_two_threads(pool):
    answers = []

    def work(at):
        async def main():
            return await asyncio.gather(*(pool.run(double, at + each) for each in range(50)))

        answers.append(asyncio.run(main()) == [2 * (at + each) for each in range(50)])

    threads = [threading.Thread(target=work, args=(at,)) for at in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert answers == [True] * 3


def test_many_at_once(pool):
    async def main():
        results = await asyncio.gather(*(pool.run(double, at) for at in range(2000)))
        assert results == list(range(0, 4000, 2))

    limited(main())


def test_uvloop(pool, tmp_path):
    uvloop = pytest.importorskip("uvloop")

    async def main():
        assert await pool.run(double, 2) == 4
        loop = asyncio.get_running_loop()
        assert await loop.run_in_executor(pool, double, 3) == 6
        future = loop.run_in_executor(pool, say_and_sleep, str(tmp_path / "b"))
        pid = await appears(tmp_path / "b")
        future.cancel()
        with pytest.raises(asyncio.CancelledError):
            await future
        await gone(pid)
        task = asyncio.create_task(pool.run(say_and_sleep, str(tmp_path / "a")))
        pid = await appears(tmp_path / "a")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not alive(pid)

    loop = uvloop.new_event_loop()
    loop.run_until_complete(asyncio.wait_for(main(), PATIENCE))
    loop.close()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_anyio(pool, tmp_path, backend):
    anyio = pytest.importorskip("anyio")
    if backend == "trio":
        pytest.importorskip("trio")

    async def main():
        path = tmp_path / "a"
        assert await pool.run(double, 2) == 4
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as group:
                group.start_soon(pool.run, say_and_sleep, str(path))
                while not path.exists():
                    await anyio.sleep(0.002)
                group.cancel_scope.cancel()
        assert not alive(int(said(path)))
        with anyio.move_on_after(0.7) as scope:
            await pool.run(say_and_sleep, str(tmp_path / "b"))
        assert scope.cancelled_caught
        assert not alive(int(said(tmp_path / "b")))
        assert [each async for each in pool.amap(double, [1, 2])] == [2, 4]

    anyio.run(main, backend=backend)


def test_trio(pool, tmp_path):
    trio = pytest.importorskip("trio")

    async def main():
        assert await pool.run(double, 2) == 4
        with pytest.raises(ValueError):
            await pool.run(fail)
        with trio.move_on_after(0.7) as scope:
            await pool.run(say_and_sleep, str(tmp_path / "a"))
        assert scope.cancelled_caught
        assert not alive(int(said(tmp_path / "a")))

    trio.run(main)
