"""The address and key of a server, from arguments or the environment."""

from __future__ import annotations

import os

from wdist_client.requests import check_address

LOCAL = ":local:"
DEFAULT_URL = "http://127.0.0.1:8000"


def settings(base_url: str | None, api_key: str | None) -> tuple[str, str | None]:
    """Address and key as given, or from WDIST_BASE_URL and WDIST_API_KEY."""
    address = base_url or os.environ.get("WDIST_BASE_URL") or DEFAULT_URL
    return (address if address == LOCAL else check_address(address)), api_key or os.environ.get("WDIST_API_KEY") or None
