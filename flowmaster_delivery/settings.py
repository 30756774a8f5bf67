"""The only reader of environment variables. Secrets are named by reference and read when used."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from flowmaster_delivery.model.checkup import SecretFile
from flowmaster_delivery.model.errors import NotConfigured, Permanent
from flowmaster_delivery.policy.addresses import networks
from flowmaster_delivery.redaction import learn

PREFIX = "FLOWMASTER_"
SECRET_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
DEFAULT_SERVER_URL = "http://127.0.0.1:3080"
DEFAULT_DAGSTER_URL = "http://127.0.0.1:3000"


@dataclass(frozen=True, slots=True)
class Secret:
    """A reference to a secret: the file it stands in. Printing it shows only the reference."""

    path: Path | None
    name: str

    def read(self) -> str:
        """Its value, which from now on this process shows to nobody; read anew at every call.

        Raise Permanent, naming what to set, where there is none.
        """
        if self.path is None:
            raise NotConfigured(
                f"no {self.name} is configured; set {PREFIX}{self.name.upper()}_FILE"
            )
        try:
            value = self.path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
            raise Permanent(
                f"{self.name} cannot be read from {self.path}: {why}; "
                f"check {PREFIX}{self.name.upper()}_FILE"
            ) from None  # what was read of it is in the cause
        learn(self.name, value)
        return value

    def read_optional(self) -> str | None:
        return self.read() if self.path is not None else None


@dataclass(frozen=True, slots=True)
class Settings:
    """How this installation is set up. Every field is one variable `FLOWMASTER_<NAME>`."""

    home: Path
    """Folder of Dagster's instance (DAGSTER_HOME)."""
    catalog: Path | None
    """Catalog file; the one shipped with the package where None."""
    overlay: Path | None
    """A second catalog file whose values win: the sandbox's, or an installation's own."""
    kubeconfig: Path | None
    """In-cluster credentials where None."""
    gitlab_token: Secret
    webhook_secret: Secret
    """What GitLab sends in X-Gitlab-Token."""
    webhook_signing_token: Secret
    seal_key: Secret
    """Key that records and askers' identities are sealed with."""
    registry_user: str | None
    registry_password: Secret
    slack_webhook: Secret
    """File with the address of a Slack incoming webhook."""
    metrics_token: Secret
    """Bearer token for the metrics servers, where they ask for one."""
    secrets_dir: Path | None
    """Folder of what smoke tests log in with: `NAME`, or `ENVIRONMENT/NAME` where they differ."""
    dagster_url: str
    """The webserver as this process reaches it, for launching and reading runs."""
    ui_url: str
    """The webserver as people reach it, for links; `dagster_url` where nothing else is said."""
    server_url: str
    """The platform's own server (webhooks, API), where the CLI finds it."""
    watch_apart: bool
    """Whether health is watched by processes of their own (`flowmaster watch`), not by a sensor."""
    sandbox: bool
    """True only when a sandbox is at the other end: allows the `local` identity."""
    trusted_proxies: tuple[str, ...]
    """Networks of the proxies before the server and the UI, whose X-Forwarded-For is believed."""
    identity_header: str | None
    """Header with the asker's name that the authenticating proxy sets; believed only if named."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the process environment, or the mapping given."""
        env = os.environ if environ is None else environ
        home = env.get("DAGSTER_HOME") or str(Path.cwd() / ".flowmaster")
        dagster = env.get(f"{PREFIX}DAGSTER_URL", DEFAULT_DAGSTER_URL)
        return cls(
            home=Path(home),
            catalog=_path(env, "CATALOG"),
            overlay=_path(env, "OVERLAY"),
            kubeconfig=_path(env, "KUBECONFIG"),
            gitlab_token=_secret(env, "gitlab_token"),
            webhook_secret=_secret(env, "webhook_secret"),
            webhook_signing_token=_secret(env, "webhook_signing_token"),
            seal_key=_secret(env, "seal_key"),
            registry_user=env.get(f"{PREFIX}REGISTRY_USER"),
            registry_password=_secret(env, "registry_password"),
            slack_webhook=_secret(env, "slack_webhook"),
            metrics_token=_secret(env, "metrics_token"),
            secrets_dir=_path(env, "SECRETS_DIR"),
            dagster_url=dagster,
            ui_url=env.get(f"{PREFIX}UI_URL") or dagster,
            server_url=env.get(f"{PREFIX}URL", DEFAULT_SERVER_URL),
            watch_apart=env.get(f"{PREFIX}WATCH_APART") == "1",
            sandbox=env.get(f"{PREFIX}SANDBOX") == "1",
            trusted_proxies=_networks(env, "TRUSTED_PROXIES"),
            identity_header=env.get(f"{PREFIX}IDENTITY_HEADER"),
        )


def smoke_secret(settings: Settings, environment: str, name: str) -> str:
    """What stands in the file of that name; raise Permanent, naming what to do, where none does."""
    folder = settings.secrets_dir
    if not SECRET_NAME.fullmatch(name):
        raise Permanent(f"{name!r} is no name of a secret: letters, digits, '-', '_' and '.' only")
    if folder is None:
        raise NotConfigured(
            f"no folder of secrets is configured; set {PREFIX}SECRETS_DIR for {name!r}"
        )
    for path in (folder / environment / name, folder / name):
        if not path.is_file():
            continue
        try:
            value = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            words = f"the secret {name!r} for {environment} cannot be read"
            raise Permanent(f"{words} ({type(error).__name__}); check its file") from None
        learn(f"{environment}/{name}", value)
        return value
    raise Permanent(f"there is no secret {name!r} for {environment} in {PREFIX}SECRETS_DIR")


def secret_files(settings: Settings) -> tuple[SecretFile, ...]:
    """What can be told of the files of secrets without telling a secret."""
    return tuple(_file_of(secret) for secret in secrets_of(settings))


def secrets_of(settings: Settings) -> tuple[Secret, ...]:
    found = (getattr(settings, one.name) for one in fields(settings))
    return tuple(one for one in found if isinstance(one, Secret))


def _file_of(secret: Secret) -> SecretFile:
    variable = f"{PREFIX}{secret.name.upper()}_FILE"
    if secret.path is None:
        return SecretFile(secret.name, variable, None)
    path = str(secret.path)
    try:
        mode = stat.S_IMODE(secret.path.stat().st_mode)
        return SecretFile(secret.name, variable, path, length=len(secret.read()), mode=mode)
    except OSError as error:
        return SecretFile(secret.name, variable, path, trouble=error.strerror or "it is unreadable")
    except Permanent as error:
        return SecretFile(secret.name, variable, path, trouble=str(error))


def caller_token(environ: Mapping[str, str] | None = None) -> str | None:
    """The GitLab token of whoever runs a command (FLOWMASTER_TOKEN); never part of Settings."""
    env = os.environ if environ is None else environ
    token = env.get(f"{PREFIX}TOKEN") or None
    if token:
        learn("caller's token", token)
    return token


def variables_of(settings: Settings) -> dict[str, str]:
    """The variables that make another process read the same settings: paths, never secrets."""
    paths = {
        "CATALOG": settings.catalog,
        "OVERLAY": settings.overlay,
        "KUBECONFIG": settings.kubeconfig,
        "SECRETS_DIR": settings.secrets_dir,
        **{
            f"{secret.name.upper()}_FILE": secret.path
            for secret in (
                settings.gitlab_token,
                settings.webhook_secret,
                settings.webhook_signing_token,
                settings.seal_key,
                settings.registry_password,
                settings.slack_webhook,
                settings.metrics_token,
            )
        },
    }
    texts = {
        "REGISTRY_USER": settings.registry_user,
        "DAGSTER_URL": settings.dagster_url,
        "UI_URL": settings.ui_url if settings.ui_url != settings.dagster_url else None,
        "URL": settings.server_url,
        "WATCH_APART": "1" if settings.watch_apart else None,
        "SANDBOX": "1" if settings.sandbox else None,
        "TRUSTED_PROXIES": ",".join(settings.trusted_proxies) or None,
        "IDENTITY_HEADER": settings.identity_header,
    }
    named = {name: str(value) for name, value in {**paths, **texts}.items() if value is not None}
    return {
        "DAGSTER_HOME": str(settings.home),
        **{f"{PREFIX}{name}": value for name, value in named.items()},
    }


LOOPBACK = "127.0.0.1,localhost,::1"


def environ_of_child(variables: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that we start: our own, with these variables on top.

    Whatever proxy is set, this machine is asked directly.
    """
    direct = {
        name: ",".join(filter(None, (os.environ.get(name), LOOPBACK)))
        for name in ("NO_PROXY", "no_proxy")
    }
    return {**os.environ, **direct, **variables}


def _networks(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Raise Permanent, naming the variable, for what is no network."""
    texts = [part.strip() for part in env.get(f"{PREFIX}{name}", "").split(",") if part.strip()]
    try:
        networks(texts)
    except ValueError as error:
        words = f"{PREFIX}{name}: {error}; give networks as 10.0.0.0/8, separated by commas"
        raise Permanent(words) from error
    return tuple(texts)


def _path(env: Mapping[str, str], name: str) -> Path | None:
    value = env.get(f"{PREFIX}{name}")
    return Path(value) if value else None


def _secret(env: Mapping[str, str], name: str) -> Secret:
    return Secret(path=_path(env, f"{name.upper()}_FILE"), name=name)
