"""Jobs that web processes leave in Redis and workers do: each until it is done, and its result once, whoever dies meanwhile."""

import json
import socket
from typing import NamedTuple

from redis.exceptions import ResponseError

from feed import LENGTH
from fleet import Event
from store import RedisStore

GROUP = "workers"
CONSUMER = socket.gethostname()
"""Whose job it is. Workers of one host share a name: so none is left over when a worker is gone for good."""
ABANDONED = 30.0
"""Seconds after which a job that is not done is given to another worker. Longer than any job takes."""
LOOK = 100
"""Jobs that are not done, of which the oldest are looked at for one that is abandoned."""
TRIES = 3
"""How often a job is tried that its workers did not survive."""

# Publishes the result of a job unless another worker did, and has done with the job.
FINISH = f"""
if redis.call('XACK', KEYS[1], '{GROUP}', ARGV[1]) == 0 then return 0 end
redis.call('XDEL', KEYS[1], ARGV[1])
local id = redis.call('XADD', KEYS[2], 'MAXLEN', '~', {LENGTH}, '*', 'event', ARGV[2])
redis.call('PUBLISH', KEYS[3], id .. ' ' .. ARGV[2])
return 1
"""


class Job(NamedTuple):
    """A link to look up, and the message that it is in."""

    id: str
    message: str
    url: str
    tries: int


class Jobs:
    """The jobs of the fleet."""

    def __init__(self, store: RedisStore, abandoned: float = ABANDONED) -> None:
        """Keep them in the store."""
        self.store = store
        self.abandoned = int(abandoned * 1000)
        self.stream = store.key("jobs")
        self._finish = store.client.register_script(FINISH)

    async def next(self) -> Job | None:
        """Return a job that a dead worker left, else a new one; None when a second brings none."""
        client = self.store.client
        async with self.store.reaching():
            try:
                pending = await client.xpending_range(self.stream, GROUP, "-", "+", LOOK)
                old = [entry["message_id"] for entry in pending if entry["time_since_delivered"] >= self.abandoned]
                left = await client.xclaim(self.stream, GROUP, CONSUMER, self.abandoned, old[:1]) if old else []
                if left and left[0][0] is None:  # before Redis 7: it is too old, and was thrown away while it waited
                    await client.xack(self.stream, GROUP, old[0])
                    left = []
                if not left:
                    answer = await client.xreadgroup(GROUP, CONSUMER, {self.stream: ">"}, count=1, block=1000)
                    left = answer[0][1] if answer else []
            except ResponseError as error:
                if "NOGROUP" not in str(error):
                    raise
                await client.xgroup_create(self.stream, GROUP, id="0", mkstream=True)
                return None
            if not left:
                return None
            job_id, fields = left[0]
            (pending,) = await client.xpending_range(self.stream, GROUP, job_id, job_id, 1)
            return Job(job_id, fields["message"], fields["url"], pending["times_delivered"])

    async def finish(self, job: Job, result: Event) -> None:
        """Publish a result, and have done with the job."""
        keys = [self.stream, self.store.key("board"), self.store.key("live")]
        async with self.store.reaching():
            await self._finish(keys=keys, args=[job.id, json.dumps(result)])
