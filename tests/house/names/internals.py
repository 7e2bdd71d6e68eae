"""Internal modules that the names are taken from. When one moves, its new place is put here, and nowhere else."""

from wdist.cli.main import app as commands_of_wdist
from wdist_client.command import remote as commands_of_remote
from wdist_service.app import build_services, create_app
from wdist_service.logs import JsonFormatter
from wdist_service.settings import PREFIX, Settings, load

__all__ = [
    "PREFIX",
    "JsonFormatter",
    "Settings",
    "build_services",
    "commands_of_remote",
    "commands_of_wdist",
    "create_app",
    "load",
]
