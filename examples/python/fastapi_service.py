"""A web service whose requests cannot hang it: each runs in a process with a time limit.

    uvicorn fastapi_service:app
    curl 'localhost:8000/match?pattern=(a%2B)%2B$&text=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab'

A pattern that backtracks for ever holds the GIL; a thread with it would stop the whole service.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator

from fastapi import FastAPI, HTTPException, Request

from hardstop import ProcessPoolExecutor, ProcessTimeoutError

LIMIT = 1.0  # seconds for a request


def find(pattern: str, text: str) -> str | None:
    found = re.search(pattern, text)
    return None if found is None else found.group()


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    with ProcessPoolExecutor(2) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/match")
async def match(pattern: str, text: str, request: Request) -> dict[str, str | None]:
    pool: ProcessPoolExecutor = request.app.state.pool
    try:
        return {"found": await pool.run(find, pattern, text, timeout=LIMIT)}
    except ProcessTimeoutError:
        raise HTTPException(422, f"the pattern took more than {LIMIT:g} s") from None
    except re.error as wrong:
        raise HTTPException(400, f"not a pattern: {wrong}") from None
