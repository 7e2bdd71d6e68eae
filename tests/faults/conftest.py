"""The servers of the tests of the service, here to be hurt."""

from errands_bench import bells
from service_fixtures import own_server, postgres_server, pytest_generate_tests, s3_server, stores

__all__ = ["bells", "own_server", "postgres_server", "pytest_generate_tests", "s3_server", "stores"]
