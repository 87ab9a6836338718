"""The programs in examples/python, as a user runs them."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from support import PATIENCE, environment, marked, script, until

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "python"


def program(name: str) -> list[str]:
    return [sys.executable, str(EXAMPLES / name)]


def test_dask_search(tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="Dask is not installed")
    with script(None, tmp_path, program=program("dask_search.py")) as run:
        code, told, complaints = run.end()
    assert code == 0, complaints
    lines = told.splitlines()
    assert "c = 2.0: given up after 2 s" in lines
    assert sum("steps" in line for line in lines) == 4


def test_celery_tool() -> None:
    pytest.importorskip("celery", reason="Celery is not installed")
    if shutil.which("redis-server") is None:
        pytest.skip("there is no redis-server: apt-get install redis-server")
    from test_celery import redis

    with redis() as address:
        mark = uuid.uuid4().hex
        surroundings = {**environment(mark), "BROKER": address}
        command = [sys.executable, "-m", "celery", "-A", "celery_tool", "worker", "-c", "1"]
        worker = subprocess.Popen(
            command,
            cwd=EXAMPLES,
            env=surroundings,
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        try:
            for tool, options, expected in (
                ("echo done", [], "done"),
                ("sh -c '(setsid sleep 1000 &); sleep 1000'", ["--revoke", "1"], "revoked: job"),
                ("echo again", [], "again"),
            ):
                told = subprocess.run(
                    [*program("celery_tool.py"), tool, *options],
                    env=surroundings,
                    capture_output=True,
                    text=True,
                    timeout=PATIENCE,
                )
                assert told.stdout.startswith(expected), told
                assert not [pid for pid in marked(mark) if "sleep" in _name(pid)]
        finally:
            worker.terminate()
            worker.wait()
            until(lambda: not marked(mark), "the worker's processes to end")


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        return ""


def test_fastapi_service() -> None:
    pytest.importorskip("fastapi", reason="FastAPI is not installed")
    httpx = pytest.importorskip("httpx", reason="httpx is not installed")
    service: Any = _load("fastapi_service")

    async def use() -> list[Any]:
        async with (
            service.lifespan(service.app),
            httpx.AsyncClient(
                transport=httpx.ASGITransport(service.app), base_url="http://service"
            ) as client,
        ):
            bad = {"pattern": "(a+)+$", "text": "a" * 40 + "b"}
            good = {"pattern": "a+", "text": "baab"}
            wrong = {"pattern": "(", "text": ""}
            asked = [client.get("/match", params=each) for each in (bad, good, wrong)]
            return list(await asyncio.gather(*asked))

    bad, good, wrong = asyncio.run(use())
    assert bad.status_code == 422 and "more than 1 s" in bad.text
    assert good.json() == {"found": "aa"}
    assert wrong.status_code == 400


def test_word_service(tmp_path: Path) -> None:
    mark = uuid.uuid4().hex
    surroundings = {**environment(mark), "PYTHONPATH": str(EXAMPLES)}
    surroundings["PYTHONPATH"] += os.pathsep + environment(mark)["PYTHONPATH"]
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("one two three")
    example = [sys.executable, str(EXAMPLES / "word_service.py"), "a.txt", "b.txt", "a.txt"]
    told = subprocess.run(
        example, env=surroundings, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert [line.split()[0] for line in told.stdout.splitlines()] == ["1", "2", "1"]
    service = subprocess.Popen(
        [sys.executable, "-m", "hardstop", "worker", "word_service:service"],
        env=surroundings,
        cwd=tmp_path,
        stderr=subprocess.DEVNULL,
    )
    try:
        until((tmp_path / "a.txt.count").exists)
        until((tmp_path / "b.txt.count").exists)
        service.terminate()
        assert service.wait(PATIENCE) == 0
    finally:
        service.kill()
        service.wait()
        until(lambda: not marked(mark), "the service's processes to end")
    assert (tmp_path / "a.txt.count").read_text() == "3\n"


def _load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # its jobs are found there by name
    spec.loader.exec_module(module)
    return module
