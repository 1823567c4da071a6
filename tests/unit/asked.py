"""What listens on a port of this machine, asked as a client does."""

from __future__ import annotations

import http.client
import json
from contextlib import closing
from typing import Any

from tests.unit.conftest import PATIENCE


class Asked:
    """A server that is asked on its `port`; behind it are programs of the tests, which tell what they have got."""

    port: int

    def ask(
        self,
        path: str = "/",
        method: str = "GET",
        *,
        host: str = "shop.example.com",
        body: bytes | None = None,
        source: str = "127.0.0.1",
        **headers: str,
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """One request on a connection of its own."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE, source_address=(source, 0))) as connection:
            named = {key.replace("_", "-"): value for key, value in headers.items()}
            connection.request(method, path, body=body, headers={"Host": host, **named})
            answer = connection.getresponse()
            return answer, answer.read()

    def tell(self, path: str = "/", **arguments: Any) -> dict[str, Any]:
        """What the program that got the request tells of it."""
        answer, body = self.ask(path, **arguments)
        assert answer.status == 200
        found: dict[str, Any] = json.loads(body)
        return found
