"""Makes the samples that are missing: tasks x settings x n, asked again where that helps, within a budget."""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, Final

from msgspec import Struct

from ..errors import UsageProblem
from .backend import Backend, Prompt, Reply, RequestFailed
from .recorder import GenerationRecorder, shown_reason

# One more try may wait so long, doubled each time, and no longer; a server that asks for more time gets it, to an hour.
_FIRST_WAIT_S: Final = 0.5
_LONGEST_WAIT_S: Final = 60.0
_LONGEST_ASKED_S: Final = 3600.0
# That many samples without an answer, one after the other, are no bad luck.
_HOPELESS: Final = 10


class Job(Struct, frozen=True, kw_only=True):
    """One sample to make. `settings` make its configuration; `asked` go to the backend."""

    task_id: str
    sample_id: int
    prompt: Prompt
    settings: Mapping[str, Any]
    asked: Mapping[str, Any]
    seed: int | None = None
    whole_program: bool = False


class Cancelled(Exception):
    """`Maker.cancel` was called."""


class Maker:
    """Gets answers for jobs from a backend, and records each request with its energy, failed ones too.

    `tries`: how often one is asked before it counts as without an answer. Threads may share it.
    """

    def __init__(self, backend: Backend, recorder: GenerationRecorder, *, tries: int = 5) -> None:
        self._backend, self._recorder, self._tries = backend, recorder, tries
        self._cancelled = threading.Event()

    def make(self, jobs: Sequence[Job]) -> list[Reply]:
        """Answers to jobs of equal settings, made together.

        Raises RequestFailed when the last try failed, Cancelled, and UsageProblem where no server can be reached.
        """
        for number in range(1, self._tries + 1):
            try:
                return self._try(jobs)
            except RequestFailed as failure:
                if self._cancelled.is_set():
                    raise Cancelled from None
                if number == self._tries or not failure.again:
                    if not failure.reached:
                        raise UsageProblem(f"{failure}; what was made is kept") from None
                    raise
                # Not all at once, when many have been turned away together.
                wait_s = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2**number) * random.uniform(0.5, 1)  # noqa: S311
                self._cancelled.wait(max(wait_s, min(failure.wait_s, _LONGEST_ASKED_S)))
            if self._cancelled.is_set():
                raise Cancelled
        raise AssertionError("a last try either answers or fails")

    def _try(self, jobs: Sequence[Job]) -> list[Reply]:
        first = jobs[0]
        pairs = [(job.task_id, job.sample_id) for job in jobs]
        with self._recorder.batch(pairs, model=self._backend.model, settings=first.settings) as requests:
            try:
                replies = self._backend.answers([job.prompt for job in jobs], first.asked, first.seed)
            except RequestFailed as failure:
                for request in requests:
                    request.fail(str(failure), failure.usage)
                raise
            for job, request, reply in zip(jobs, requests, replies, strict=True):
                request.finish(
                    reply.text, reply.usage, whole_program=job.whole_program, finish_reason=reply.finish_reason
                )
        return replies

    def cancel(self) -> None:
        """End what is under way; what it has cost is recorded."""
        self._cancelled.set()
        self._backend.close()


class Progress(Struct, frozen=True, kw_only=True):
    """`made` and `failed` (without an answer) samples of those that were `planned`, by now."""

    planned: int
    made: int = 0
    failed: int = 0
    last_failure: str | None = None


class Campaign:
    """All jobs, `workers` batches at once, of at most `batch` jobs of equal settings each."""

    def __init__(self, maker: Maker, jobs: Sequence[Job], *, workers: int = 1, batch: int = 1) -> None:
        self._maker, self._workers = maker, workers
        self._batches = deque(_batches(jobs, batch))
        self._planned = len(jobs)

    def run(self, enough: Callable[[], bool] = lambda: False) -> Iterator[Progress]:
        """Yields whenever a batch has ended. Nothing new is begun once `enough` says so.

        Raises UsageProblem for what no other sample would fare better with.
        """
        progress, in_a_row = Progress(planned=self._planned), 0
        running: dict[Future[list[Reply]], int] = {}
        pool = ThreadPoolExecutor(self._workers, thread_name_prefix="greencode-generate")
        try:
            while True:
                while self._batches and len(running) < self._workers and not enough():
                    batch = self._batches.popleft()
                    running[pool.submit(self._maker.make, batch)] = len(batch)
                if not running:
                    return
                # In steps, so that Ctrl-C is heard.
                for future in wait(running, timeout=0.2, return_when=FIRST_COMPLETED).done:
                    count = running.pop(future)
                    made, failed, reason = progress.made, progress.failed, progress.last_failure
                    try:
                        future.result()
                        made, in_a_row = made + count, 0
                    except RequestFailed as failure:
                        failed, in_a_row, reason = failed + count, in_a_row + 1, shown_reason(str(failure))
                    progress = Progress(planned=self._planned, made=made, failed=failed, last_failure=reason)
                    yield progress
                    if in_a_row >= _HOPELESS:
                        raise UsageProblem(
                            f"{in_a_row} requests in a row got no answer; the last: {reason}; what was made is kept, "
                            "the same command goes on with the rest"
                        )
        except BaseException:
            self._maker.cancel()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _batches(jobs: Sequence[Job], size: int) -> Iterator[list[Job]]:
    """Neighbours of equal settings together."""
    batch: list[Job] = []
    for job in jobs:
        if batch and (len(batch) == size or (job.settings, job.asked) != (batch[0].settings, batch[0].asked)):
            yield batch
            batch = []
        batch.append(job)
    if batch:
        yield batch
