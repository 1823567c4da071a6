"""Let the tests import the app they stand beside, and give them a Redis."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


@pytest.fixture(scope="module")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a Redis for the tests of a module."""
    from tests.redis_server import redis_server
    from tests.running import free_port

    with redis_server(tmp_path_factory.mktemp("redis"), port := free_port()):
        yield port
