"""Server settings: WDIST_SERVER_* variables or a TOML file, each with a safe default; unknown ones are refused."""

from __future__ import annotations

import difflib
import json
import os
import tomllib
from functools import cached_property
from pathlib import Path
from typing import Literal, Self

import platformdirs
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    IPvAnyNetwork,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict, exceptions

PREFIX = "WDIST_SERVER_"
GIBIBYTE = 1 << 30
_JSON_EXAMPLES = {
    "allowed_hosts": '["wdist.example.org"]',
    "retention": '{"estimates_days": 90}',
    "webhook_private": '["10.1.0.0/16"]',
}
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class SettingsError(Exception):
    """A setting is unknown or has an impossible value; the message names the variable."""


class RetentionLimits(BaseModel):
    """How much is kept; None: all of it. docs/operations.md says what each limit removes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    batches_days: float | None = Field(default=None, gt=0)
    batches_count: int | None = Field(default=None, ge=0)
    batches_bytes: int | None = Field(default=None, ge=0)
    estimates_days: float | None = Field(default=None, gt=0)
    estimates_count: int | None = Field(default=None, ge=0)
    estimates_bytes: int | None = Field(default=None, ge=0)
    sets_days: float | None = Field(default=None, gt=0)
    sets_count: int | None = Field(default=None, ge=0)
    sets_bytes: int | None = Field(default=None, ge=0)
    monitor_batches_days: float | None = Field(default=None, gt=0)
    monitor_batches_count: int | None = Field(default=None, ge=0)
    events_days: float | None = Field(default=None, gt=0)
    events_count: int | None = Field(default=None, ge=0)


class RetentionSettings(RetentionLimits):
    """The limits of every tenant; those of single tenants, which replace them; and those of all tenants together."""

    tenants: dict[str, RetentionLimits] = Field(default_factory=dict)
    server: RetentionLimits = Field(default_factory=RetentionLimits)

    @property
    def is_off(self) -> bool:
        """Whether nothing has a limit."""
        nothing = RetentionLimits().model_dump()
        limits = (*self.tenants.values(), self.server, RetentionLimits(**self.model_dump(include=set(nothing))))
        return all(each.model_dump() == nothing for each in limits)


class Settings(BaseSettings):
    """Everything an operator can set. A command line option of the same name wins over the environment."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    settings_file: Path | None = Field(
        default=None, description="TOML file of settings (`port = 8000`); variables and options win over it."
    )
    data: Path = Field(
        default_factory=lambda: Path(platformdirs.user_data_dir("wdist", appauthor=False)),
        description="Directory of the database and of all files; one machine's whole state.",
    )
    database_url: str | None = Field(
        default=None, repr=False, description="SQLAlchemy URL; default: SQLite inside the data directory."
    )
    storage_url: str | None = Field(
        default=None, pattern="^s3://[^/]+(/.*)?$",
        description="`s3://bucket/prefix` for sample sets, results and checkpoints; default: files inside data.",
    )  # fmt: skip
    storage_endpoint: str | None = Field(
        default=None, pattern="^https?://", description="Address of an S3-compatible store; default: Amazon's."
    )
    storage_region: str = Field(default="us-east-1", description="Region of the bucket.")
    storage_access_key: str | None = Field(
        default=None, description="Access key id; default: AWS_ACCESS_KEY_ID, or the machine's role."
    )
    storage_secret_key: SecretStr | None = Field(default=None, description="Secret that belongs to the access key.")
    cache_bytes: int = Field(
        default=20 * GIBIBYTE, ge=0, description="Files of the bucket that this host keeps; those in use come on top."
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on; beyond loopback only with a key.")
    port: int = Field(default=8000, ge=0, le=65535, description="TCP port; 0 takes any free one.")
    path_prefix: str = Field(
        default="", pattern=r"^(/[A-Za-z0-9._~-]+)*$",
        description="Path under which a proxy serves this server, like `/wdist`; empty: the root.",
    )  # fmt: skip
    allowed_hosts: list[str] = Field(default_factory=list, description="Accepted Host headers; empty: any, with keys.")
    bootstrap_key_file: Path | None = Field(default=None, description="File with the first admin key (a container's).")
    secret_file: Path | None = Field(default=None, description="Secret of the key hashes; default: made in data.")

    workers: int = Field(default=1, ge=0, le=64, description="Worker processes that `wdist serve` runs.")
    slots: int | None = Field(
        default=None, ge=1, le=256, description="Jobs at once per worker; default: GPUs, or cores / 4."
    )
    threads: int | None = Field(default=None, ge=1, le=1024, description="Threads per trainer; default: cores / slots.")
    spare_trainer: bool = Field(default=True, description="Keep one trainer more than slots warm (CPU).")
    trainer_memory_bytes: int | None = Field(
        default=None, ge=GIBIBYTE // 4, description="Resident limit of a trainer; default: 0.8 of memory / slots."
    )
    max_attempts: int = Field(default=3, ge=1, le=100, description="Deaths of its trainer that an estimate may cause.")
    max_worker_deaths: int = Field(
        default=5, ge=2, le=1000, description="Deaths of its worker that a job may see without getting any further."
    )
    together: int = Field(
        default=16,
        ge=1,
        le=256,
        description="Most small estimates of a batch that a trainer takes at once; 1: each alone.",
    )
    together_exactly: bool = Field(
        default=True,
        description="Train as one only what gives the numbers of training alone; false: rounding may differ.",
    )
    beat_seconds: float = Field(default=2.0, gt=0, le=60, description="How often a worker renews its lease.")
    lease_seconds: float = Field(
        default=10.0, gt=0, le=600, description="Silence of a worker or uploader that ends its hold."
    )
    frozen_seconds: float = Field(
        default=30.0, ge=0, description="`wdist serve` ends a process that has not moved for so long; 0: never."
    )

    max_upload_bytes: int = Field(default=4 * GIBIBYTE, ge=1, description="Largest body of an upload.")
    max_json_bytes: int = Field(default=4 << 20, ge=1024, description="Largest JSON body.")
    body_timeout_seconds: float = Field(default=60.0, gt=0, description="Longest pause inside a request body.")
    header_timeout_seconds: float = Field(default=10.0, gt=0, description="Time for the headers of a request.")
    write_timeout_seconds: float = Field(
        default=300.0, gt=0, description="How long a client may take hardly any of its answer (1 KiB a second)."
    )
    max_connections: int = Field(
        default=2000, ge=1, description="Connections at once; above this idle and stalled ones end, others get 503."
    )
    stop_seconds: float = Field(
        default=4.0, ge=0, le=3600, description="After SIGTERM, time for requests to be answered and for checkpoints."
    )
    quota_bytes: int | None = Field(
        default=None, ge=0, description="Stored bytes per tenant, for keys without own limit."
    )
    quota_queued_jobs: int | None = Field(
        default=None, ge=0, description="Waiting jobs per tenant, for keys without own limit."
    )
    quota_device_seconds: float | None = Field(
        default=None, ge=0, description="Device seconds per tenant in 30 days, for keys without own limit."
    )
    requests_per_minute: int | None = Field(
        default=None, ge=1, description="Requests per key in a minute, for keys without own limit."
    )
    max_job_seconds: float | None = Field(
        default=None, gt=0, description="Longest estimated time of a job that is accepted."
    )
    upload_expiry_seconds: float = Field(
        default=86_400.0, gt=0, description="How long a resumable upload is kept after its last byte came."
    )
    decoders: int = Field(default=2, ge=1, le=64, description="Uploads other than .npy that are decoded at once.")
    decoder_memory_bytes: int = Field(
        default=GIBIBYTE, ge=GIBIBYTE // 4, description="Address space of one decoder process."
    )
    decoder_seconds: int = Field(default=600, ge=1, le=86_400, description="Longest time that one decoder may run.")
    retention: RetentionSettings = Field(
        default_factory=RetentionSettings,
        description="What is forgotten, as a TOML table or JSON (see Retention); default: nothing.",
    )
    monitor_gauges: int = Field(
        default=100, ge=0, le=10_000, description="Monitors that /metrics has gauges of: first those with an alarm."
    )
    min_free_bytes: int = Field(default=64 << 20, ge=0, description="Free disk space below which uploads are refused.")
    maintenance_seconds: float = Field(
        default=60.0, gt=0, description="How often leftovers of dead processes and expired uploads are removed."
    )
    quarantine_seconds: float = Field(
        default=7 * 86_400.0,
        ge=0,
        description="How long files that nothing names are kept in quarantine before deletion.",
    )
    sweep_share: float = Field(
        default=0.2, gt=0, le=1, description="Largest part of the stored files that one sweep may put into quarantine."
    )
    webhook_private: list[IPvAnyNetwork] = Field(
        default_factory=list,
        description="Networks that webhooks may reach although they are not public, also by http; default: none.",
    )
    webhook_overlap_seconds: float = Field(
        default=86_400.0, ge=0, description="How long the old secret of a webhook goes on signing beside a new one."
    )
    webhook_log_days: float = Field(
        default=30.0, gt=0, description="How long deliveries of webhooks are kept once they have ended."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least level that is logged."
    )

    @field_validator("data", "settings_file", "bootstrap_key_file", "secret_file")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        """Children of the server work in other folders, and take paths as they are."""
        return None if path is None else path.expanduser().absolute()

    @model_validator(mode="after")
    def _check_keys(self) -> Self:
        if (self.storage_access_key is None) != (self.storage_secret_key is None):
            raise ValueError("WDIST_SERVER_STORAGE_ACCESS_KEY and WDIST_SERVER_STORAGE_SECRET_KEY belong together")
        return self

    @cached_property
    def url(self) -> str:
        """Database URL actually used."""
        return self.database_url or f"sqlite:///{self.data / 'wdist.sqlite'}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return self.host in LOOPBACK

    def environment(self) -> dict[str, str]:
        """These settings as the variables that give the same settings to a child process."""
        given = self.model_dump(mode="json", exclude_unset=True)
        if self.storage_secret_key is not None:
            given["storage_secret_key"] = self.storage_secret_key.get_secret_value()
        return {PREFIX + name.upper(): _as_text(value) for name, value in given.items() if value is not None}


def _as_text(value: object) -> str:
    return json.dumps(value) if isinstance(value, list | dict) else str(value)


def load(**given: object) -> Settings:
    """Settings from file and environment, overridden by the options given (None: not given).

    Raises SettingsError, with the name of the variable or of the option, for anything unknown or out of range.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    variables = {name.upper() for name in os.environ if name.upper().startswith(PREFIX)}
    for name in sorted(variables - known):
        raise SettingsError(f"unknown setting {name}{_hint(name, known)}")
    file = given.get("settings_file") or os.environ.get(PREFIX + "SETTINGS_FILE")
    written = {} if file is None else _read(Path(str(file)))
    values = {name: value for name, value in written.items() if PREFIX + name.upper() not in variables}
    values |= {name: value for name, value in given.items() if value is not None}
    try:
        return Settings(**values)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name, *inside = [str(part) for part in first["loc"]] or [""]
        where = f" {'.'.join(inside)}:" if inside else ""
        source = f"--{name.replace('_', '-')}" if given.get(name) is not None else f"{PREFIX}{name.upper()}"
        if first["type"] == "extra_forbidden":
            known = set(RetentionSettings.model_fields if len(inside) == 1 else RetentionLimits.model_fields)
            raise SettingsError(f"{PREFIX}{name.upper()}:{where} unknown{_hint(inside[-1], known)}") from None
        raise SettingsError(f"{source}:{where} {first['msg'].removeprefix('Value error, ')}") from None
    except exceptions.SettingsError as error:  # of a variable that holds a list or a table
        name = str(error).split('"')[1]
        raise SettingsError(f"{PREFIX}{name.upper()} must be JSON, like {_JSON_EXAMPLES.get(name, '[]')}") from None


def _read(file: Path) -> dict[str, object]:
    """The settings in a TOML file."""
    try:
        written: dict[str, object] = tomllib.loads(file.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"the settings file {file} cannot be read: {error}") from None
    known = set(Settings.model_fields) - {"settings_file"}
    for name in sorted(set(written) - known):
        raise SettingsError(f"unknown setting {name} in {file}{_hint(name, known)}")
    return written


def _hint(name: str, known: set[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else "; remove it (docs/operations.md lists the settings)"
