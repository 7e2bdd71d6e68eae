"""Internal modules that the names are taken from. When one moves, its new place is put here, and nowhere else."""

from wdist.cli.main import parser as command_parser
from wdist.verify.command import parser as verify_parser
from wdist_client.command import parser as remote_parser
from wdist_service.app import build_services, create_app
from wdist_service.logs import JsonFormatter
from wdist_service.settings import PREFIX, Settings, load

__all__ = [
    "PREFIX",
    "JsonFormatter",
    "Settings",
    "build_services",
    "command_parser",
    "create_app",
    "load",
    "remote_parser",
    "verify_parser",
]
