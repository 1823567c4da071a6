"""Let the tests import the app and the helpers they stand beside, and give them a Redis."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]


@pytest.fixture(scope="module")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a Redis for the tests of a module."""
    from running import free_port
    from tests.redis_server import redis_server

    with redis_server(tmp_path_factory.mktemp("redis"), port := free_port()):
        yield port
