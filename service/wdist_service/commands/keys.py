"""`wdist keys`: API keys of the server whose data directory is on this machine."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from wdist.cli.output import EX_CONFIG, fail, remark
from wdist_service.commands.serve import DatabaseUrl, DataFolder

if TYPE_CHECKING:
    from wdist_service.keys.service import Keys

EX_UNAVAILABLE = 69
keys = App(name="keys", help="API keys of the server whose data directory is on this machine.")


@keys.command
def create(
    *,
    name: Annotated[str | None, Parameter(help="what it is for")] = None,
    role: Literal["admin", "user"] = "user",
    tenant: Annotated[str, Parameter(help="whose data it reaches")] = "local",
    data: DataFolder = None,
    database_url: DatabaseUrl = None,
) -> int:
    """Make a key; its secret is printed once."""
    _check_text(name or "", tenant)

    def make(found: Keys, folder: Path) -> int:
        is_first = found.is_open()
        if is_first and role != "admin":
            return fail("the first key must be an admin's: wdist keys create --role admin")
        key, secret = found.create(tenant_id=tenant, name=name, role=role)
        remark(f"{key.id} for tenant {key.tenant_id}, role {key.role}; the secret is shown this once:")
        sys.stdout.write(secret + "\n")
        if is_first:
            remark(f"from now on the server of {folder} asks for a key: clients send the one in WDIST_API_KEY")
        return 0

    return _with_keys(data, database_url, make, is_new=True)


@keys.command(name="list")
def show(*, data: DataFolder = None, database_url: DatabaseUrl = None) -> int:
    """Show all keys, without secrets."""

    def tell(found: Keys, folder: Path) -> int:
        listed = found.list()
        if not listed:
            remark(f"the server of {folder} has no keys: make one with wdist keys create --role admin")
        for key in listed:
            state = "revoked" if key.revoked_at else "valid"
            sys.stdout.write(f"{key.id}  {key.tenant_id}  {key.role}  {state}  {key.name or ''}\n")
        return 0

    return _with_keys(data, database_url, tell)


@keys.command
def revoke(
    key: Annotated[str, Parameter(name="KEY", help="its ID or name, as `wdist keys list` shows them")],
    /,
    *,
    data: DataFolder = None,
    database_url: DatabaseUrl = None,
) -> int:
    """End a key, within two seconds on every replica."""
    _check_text(key)

    def end(found: Keys, _: Path) -> int:
        called = [one.id for one in found.list() if one.name == key and one.revoked_at is None]
        if len(called) > 1:
            return fail(f"{len(called)} keys are called {key!r}: {', '.join(called)}; name one by its ID")
        sys.stdout.write(f"{found.revoke(called[0] if called else key).id} is revoked\n")
        return 0

    return _with_keys(data, database_url, end)


def _check_text(*given: str) -> None:
    """Raise UnicodeEncodeError for bytes that are no text in this locale; the command then says how to give them."""
    for text in given:
        text.encode()


def _with_keys(
    data: Path | None, database_url: str | None, action: Callable[[Keys, Path], int], *, is_new: bool = False
) -> int:
    """Run an action on the keys of a server and its data directory; `is_new`: the directory may be made for it."""
    from sqlalchemy.exc import DatabaseError

    from wdist_service.database import Database, file_of
    from wdist_service.errors import RequestError
    from wdist_service.installation import start_errors
    from wdist_service.keys.service import Keys
    from wdist_service.settings import SettingsError, load
    from wdist_service.storage.durable import keep_private, make_folder, write_durably

    keep_private()
    try:
        settings = load(data=data, database_url=database_url)
        with start_errors(settings):
            if not is_new:
                kept = (file_of(settings), settings.secret_file or settings.data / "secret")
                missing = next((file for file in kept if file is not None and not file.exists()), None)
                if missing is not None:
                    return fail(f"no server keeps its keys in {settings.data}, there is no {missing}: name its --data")
            is_unused = not settings.data.exists()
            make_folder(settings.data)
            if (file := file_of(settings)) is not None and not file.exists():
                write_durably(file, b"")  # SQLite takes it for a new database, which is then the server's, not root's
            with contextlib.closing(Database(settings)) as database:
                database.migrate()
                if is_unused:
                    remark(f"no server has used {settings.data} yet: it is new")
                return action(Keys(database, settings), settings.data)
    except SettingsError as error:
        return fail(str(error), EX_CONFIG)
    except RequestError as error:
        return fail(error.detail)
    except DatabaseError as error:
        return fail(f"the database does not answer: {error.orig}", EX_UNAVAILABLE)
    except OSError as error:
        return fail(f"cannot use the data directory: {error}")
