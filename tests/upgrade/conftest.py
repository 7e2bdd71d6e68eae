"""What release 0.1 left behind, and stores to put it into."""

import json
from pathlib import Path
from typing import Any

import pytest
from present import postgres_server, pytest_generate_tests, s3_server, stores

__all__ = ["postgres_server", "pytest_generate_tests", "s3_server", "stores"]
FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture(scope="session")
def fixtures() -> Path:
    """The folder of the archives."""
    return FIXTURES


@pytest.fixture(scope="session")
def manifest() -> dict[str, Any]:
    """What 0.1 said about them."""
    return dict(json.loads((FIXTURES / "manifest.json").read_text()))
