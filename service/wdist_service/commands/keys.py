"""`wdist keys`: API keys of the server whose data directory is on this machine."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from wdist.cli.output import EX_CONFIG, Commands, fail, remark
from wdist_service.commands.serve import add_server_options, settings_of

if TYPE_CHECKING:
    from wdist_service.keys.service import Keys


def add(commands: Commands) -> None:
    keys = commands.add_parser("keys", help="API keys of the server whose data directory is on this machine")
    actions = keys.add_subparsers(required=True, metavar="ACTION")
    create = actions.add_parser("create", help="make a key; its secret is printed once")
    create.add_argument("--name", help="what it is for")
    create.add_argument("--role", choices=["admin", "user"], default="user", help="default: %(default)s")
    create.add_argument("--tenant", default="local", help="whose data it reaches (default: %(default)s)")
    show = actions.add_parser("list", help="show all keys, without secrets")
    revoke = actions.add_parser("revoke", help="end a key at once")
    revoke.add_argument("id", help="as `wdist keys list` shows it")
    for parser, action in ((create, _create_key), (show, _list_keys), (revoke, _revoke_key)):
        add_server_options(parser)
        parser.set_defaults(run=_keys, action=action)


def _keys(options: argparse.Namespace) -> int:
    from wdist_service.database import Database, file_of
    from wdist_service.errors import RequestError
    from wdist_service.keys.service import Keys
    from wdist_service.settings import SettingsError

    try:
        settings = settings_of(options, "data", "database_url")
        if options.action is not _create_key:
            kept = (file_of(settings), settings.secret_file or settings.data / "secret")
            if (missing := next((file for file in kept if file is not None and not file.exists()), None)) is not None:
                return fail(f"no server keeps its keys in {settings.data}, there is no {missing}: name its --data")
        settings.data.mkdir(parents=True, exist_ok=True)
        options.data = settings.data
        with contextlib.closing(Database(settings)) as database:
            database.migrate()
            action: Callable[[argparse.Namespace, Keys], int] = options.action
            return action(options, Keys(database, settings))
    except SettingsError as error:
        return fail(str(error), EX_CONFIG)
    except RequestError as error:
        return fail(error.detail)
    except OSError as error:
        return fail(f"cannot use the data directory: {error}")


def _create_key(options: argparse.Namespace, keys: Keys) -> int:
    if keys.is_open() and options.role != "admin":
        return fail("the first key must be an admin's: wdist keys create --role admin")
    is_first = keys.is_open()
    key, secret = keys.create(tenant_id=options.tenant, name=options.name, role=options.role)
    sys.stderr.write(f"{key.id} for tenant {key.tenant_id}, role {key.role}; the secret is shown this once:\n")
    sys.stdout.write(secret + "\n")
    if is_first:
        sys.stderr.write(
            f"from now on the server of {options.data} asks for a key: clients send the one in WDIST_API_KEY\n"
        )
    return 0


def _list_keys(options: argparse.Namespace, keys: Keys) -> int:
    if not (found := keys.list()):
        remark(f"the server of {options.data} has no keys: make one with wdist keys create --role admin")
    for key in found:
        state = "revoked" if key.revoked_at else "valid"
        sys.stdout.write(f"{key.id}  {key.tenant_id}  {key.role}  {state}  {key.name or ''}\n")
    return 0


def _revoke_key(options: argparse.Namespace, keys: Keys) -> int:
    sys.stdout.write(f"{keys.revoke(options.id).id} is revoked\n")
    return 0
