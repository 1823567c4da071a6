"""What a process does beside its requests: begun together, ended together, and no failure is silent."""

import asyncio
import logging
from collections.abc import Coroutine

Task = asyncio.Task[None]


class Background:
    """The tasks of a process."""

    def __init__(self) -> None:
        """Begin with none."""
        self.tasks: list[Task] = []

    def begin(self, work: Coroutine[None, None, None]) -> None:
        """Do something until the end."""
        task = asyncio.create_task(work)
        task.add_done_callback(log_failure)
        self.tasks.append(task)

    async def end(self) -> None:
        """Cancel all, and wait until they are done."""
        while pending := [task for task in self.tasks if not task.done()]:
            for task in pending:
                task.cancel()
            # Then once more: redis-py sends within asyncio.wait_for, in which Python 3.11 may lose a cancellation.
            await asyncio.wait(pending, timeout=0.2)


def log_failure(task: Task) -> None:
    """Log what ended a task that should not have ended."""
    if not task.cancelled() and (error := task.exception()):
        logging.error("a background task failed", exc_info=error)
