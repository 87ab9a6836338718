"""A bar that shows how far a number of jobs have come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import as_completed
from typing import Any, TypeVar, cast

from ._future import Future

T = TypeVar("T")


def progress(futures: Iterable[Future[T]], **options: Any) -> Iterator[Future[T]]:
    """The futures as they end, with a tqdm bar; ``options`` are tqdm's.

    A job that tells its ``total`` counts by how much of it is done, another one when it has ended.
    Needs tqdm: ``pip install hardstop[progress]``.
    """
    try:
        from tqdm.auto import tqdm
    except ImportError as missing:
        raise ImportError(
            "hardstop.progress() shows a tqdm bar: pip install 'hardstop[progress]'"
        ) from missing

    jobs = list(futures)
    shares = dict.fromkeys(jobs, 0.0)
    with tqdm(total=len(jobs), **options) as bar:

        def show(job: Future[T], share: float) -> None:
            bar.update(share - shares[job])
            shares[job] = share

        def follow(job: Future[T]) -> None:
            told = job.progress
            if told is not None and told.total:
                show(job, min(max(told.done / told.total, shares[job]), 1.0))
                bar.set_postfix_str(told.message)

        for job in jobs:
            job.add_progress_callback(follow)
        for ended in as_completed(jobs):
            job = cast("Future[T]", ended)
            show(job, 1.0)
            yield job
