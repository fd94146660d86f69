"""Threads of the evaluator: kernels run without Python's lock; results come back in the order of the tasks."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

from mlip_autopipec.errors import ConfigurationFault

Task = TypeVar("Task")
Result = TypeVar("Result")

VARIABLE = "MLIP_NUM_THREADS"


def thread_count(threads: int | None = None) -> int:
    """`threads`, or the environment's MLIP_NUM_THREADS, or 1.

    Raises:
        ConfigurationFault: not a whole number from 1.
    """
    asked = os.environ.get(VARIABLE, "1") if threads is None else threads
    try:
        count = 0 if isinstance(asked, bool | float) else int(asked)
    except ValueError:
        count = 0
    if count < 1:
        raise ConfigurationFault(f"threads or {VARIABLE} = {asked!r} is not a whole number from 1", "Write 1, 2, ...")
    return count


def ordered(work: Callable[[Task], Result], tasks: Iterable[Task], threads: int | None = None) -> Iterator[Result]:
    """Results of `work` in the order of `tasks`, so that what is added up from them does not depend on the threads.

    Only a few tasks are ahead of the one that is consumed: memory does not grow with their number.
    """
    count = thread_count(threads)
    if count == 1:
        yield from map(work, tasks)
        return
    ahead: deque[Future[Result]] = deque()
    pool = _pool(count)
    try:
        for task in tasks:
            ahead.append(pool.submit(work, task))
            if len(ahead) > count + 2:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        for future in ahead:
            future.cancel()


@lru_cache(maxsize=4)
def _pool(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, thread_name_prefix="ace")


os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive a fork
