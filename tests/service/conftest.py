"""Servers that the tests of the service share."""

from attempts_bench import bench
from errands_bench import bells
from proxy_process import behind_proxy
from service_fixtures import own_server, pair, postgres_server, pytest_generate_tests, s3_server, server, stores

__all__ = [
    "behind_proxy", "bells", "bench", "own_server", "pair", "postgres_server", "pytest_generate_tests", "s3_server",
    "server", "stores",
]  # fmt: skip
