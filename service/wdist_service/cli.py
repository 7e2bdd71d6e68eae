"""The `wdist` command. Nothing heavy is imported before it is known what is asked for."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wdist import __version__

if TYPE_CHECKING:
    from wdist_service.keys import Keys
    from wdist_service.settings import Settings

_EX_USAGE, _EX_CONFIG = 2, 78


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status. A mistake of the user's is one line on stderr, never a traceback."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["verify"]:  # its options are the verifier's own, which also runs without the rest of wdist
        from wdist.verify import main as verify

        return verify(given[1:])
    options = _parser().parse_args(given)
    try:
        run: Callable[[argparse.Namespace], int] = options.run
        return run(options)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 141


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="wdist", description="Lower bounds on the Wasserstein-1 distance that can be trusted."
    )
    parser.add_argument("--version", action="version", version=f"wdist {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_estimate(commands)
    commands.add_parser("verify", help="check a certificate against two .npy files; see wdist verify --help")
    _add_serve(commands)
    _add_worker(commands)
    _add_keys(commands)
    return parser


def _fail(message: str, code: int = _EX_USAGE) -> int:
    sys.stderr.write(f"wdist: {message}\n")
    return code


# --- wdist estimate --------------------------------------------------------------------------------------------------


def _add_estimate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    estimate = commands.add_parser("estimate", help="compare two .npy files here, without a server")
    estimate.add_argument("source", type=Path, metavar="A", help=".npy file of the first set (P)")
    estimate.add_argument("target", type=Path, metavar="B", help=".npy file of the second set (Q)")
    estimate.add_argument("--confidence", type=float, default=0.95, help="of the lower bound (default: %(default)s)")
    estimate.add_argument("--critic", default="auto", help="family of critics (default: %(default)s)")
    estimate.add_argument("--seed", type=int, default=0, help="of the split and of training (default: %(default)s)")
    estimate.add_argument("--steps", type=int, help="training steps, exactly")
    estimate.add_argument("--max-seconds", type=float, help="training time, about")
    estimate.add_argument("--scale", type=_scale, help="none, a factor, or standardize")
    estimate.add_argument("--layout", choices=["nhwc", "nchw"], help="axes of images where ambiguous")
    estimate.add_argument("--device", default="auto", help="auto, cpu, cuda (default: %(default)s)")
    estimate.add_argument("--save-critic", type=Path, metavar="DIR", help="keep the trained critic in this directory")
    estimate.add_argument("--certificate", type=Path, metavar="FILE", help="write a certificate for `wdist verify`")
    estimate.add_argument("--json", action="store_true", help="print the result as JSON")
    estimate.set_defaults(run=_estimate)


def _scale(text: str) -> float | str | None:
    if text in {"none", "standardize"}:
        return None if text == "none" else text
    return float(text)


def _estimate(options: argparse.Namespace) -> int:
    from wdist.errors import WdistError

    try:
        from wdist.estimator import estimate_w1

        result = estimate_w1(
            options.source, options.target, confidence=options.confidence, critic=options.critic, seed=options.seed,
            device=options.device, max_seconds=options.max_seconds, steps=options.steps, scale=options.scale,
            layout=options.layout,
        )  # fmt: skip
        if options.save_critic is not None:
            result.critic.save(options.save_critic)
        if options.certificate is not None:
            result.certificate.save(options.certificate)
    except WdistError as error:
        return _fail(str(error))
    sys.stdout.write((json.dumps(result.to_dict(), indent=2) if options.json else str(result)) + "\n")
    return 0


# --- wdist serve, wdist worker ---------------------------------------------------------------------------------------


def _add_server_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, metavar="DIR", help="data directory (WDIST_SERVER_DATA)")
    parser.add_argument("--database-url", metavar="URL", help="default: SQLite in the data directory")


def _add_worker_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--slots", type=int, help="jobs at once in each worker; default: GPUs, or cores / 4")
    parser.add_argument("--threads", type=int, help="threads of each trainer; default: cores / slots")


def _add_serve(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    serve = commands.add_parser("serve", help="run the server: HTTP API and workers")
    serve.add_argument("--host", help="address to listen on (default: 127.0.0.1); others only with an API key")
    serve.add_argument("--port", type=int, help="TCP port (default: 8000; 0: any free one)")
    serve.add_argument("--workers", type=int, help="worker processes (default: 1; 0: an API alone)")
    _add_server_options(serve)
    _add_worker_options(serve)
    serve.set_defaults(run=_serve)


def _add_worker(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    worker = commands.add_parser("worker", help="run one more worker on the database of a server")
    _add_server_options(worker)
    _add_worker_options(worker)
    worker.set_defaults(run=_worker)


def _settings(options: argparse.Namespace, *names: str) -> Settings:
    from wdist_service.settings import load

    return load(**{name: getattr(options, name) for name in names})


def _serve(options: argparse.Namespace) -> int:
    from wdist_service.settings import SettingsError
    from wdist_service.supervisor import StartError, serve

    try:
        names = ("host", "port", "data", "database_url", "workers", "slots", "threads")
        return serve(_settings(options, *names))
    except SettingsError as error:
        return _fail(str(error), _EX_CONFIG)
    except StartError as error:
        return _fail(str(error), error.code)


def _worker(options: argparse.Namespace) -> int:
    from wdist_service.lifeline import die_with_supervisor
    from wdist_service.settings import SettingsError

    die_with_supervisor()
    try:
        settings = _settings(options, "data", "database_url", "slots", "threads")
    except SettingsError as error:
        return _fail(str(error), _EX_CONFIG)
    from wdist_service import logs
    from wdist_service.slots import Slots

    logs.configure(settings.log_level)
    slots = Slots(settings)
    slots.tend()  # trainers import torch while this process imports the rest
    from wdist_service import worker

    worker.main(settings, slots)
    return 0


# --- wdist keys ------------------------------------------------------------------------------------------------------


def _add_keys(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
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
        _add_server_options(parser)
        parser.set_defaults(run=_keys, action=action)


def _keys(options: argparse.Namespace) -> int:
    from wdist_service.database import Database
    from wdist_service.errors import RequestError
    from wdist_service.keys import Keys
    from wdist_service.settings import SettingsError

    try:
        settings = _settings(options, "data", "database_url")
        settings.data.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(Database(settings)) as database:
            database.migrate()
            action: Callable[[argparse.Namespace, Keys], int] = options.action
            return action(options, Keys(database, settings))
    except SettingsError as error:
        return _fail(str(error), _EX_CONFIG)
    except RequestError as error:
        return _fail(error.detail)
    except OSError as error:
        return _fail(f"cannot use the data directory: {error}")


def _create_key(options: argparse.Namespace, keys: Keys) -> int:
    if keys.is_open() and options.role != "admin":
        return _fail("the first key must be an admin's: wdist keys create --role admin")
    key, secret = keys.create(tenant_id=options.tenant, name=options.name, role=options.role)
    sys.stderr.write(f"{key.id} for tenant {key.tenant_id}, role {key.role}; the secret is shown this once:\n")
    sys.stdout.write(secret + "\n")
    return 0


def _list_keys(_options: argparse.Namespace, keys: Keys) -> int:
    for key in keys.list():
        state = "revoked" if key.revoked_at else "valid"
        sys.stdout.write(f"{key.id}  {key.tenant_id}  {key.role}  {state}  {key.name or ''}\n")
    return 0


def _revoke_key(options: argparse.Namespace, keys: Keys) -> int:
    sys.stdout.write(f"{keys.revoke(options.id).id} is revoked\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
