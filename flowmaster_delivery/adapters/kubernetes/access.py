"""The way to an API server: a kubeconfig's context, or the pod's own service account."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import urllib3
from kubernetes import client, config
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from urllib3.util.ssl_ import create_urllib3_context

from flowmaster_delivery.adapters.wire import on_loopback
from flowmaster_delivery.model.errors import NotConfigured, Permanent, UnknownName

FILES = frozenset({"certificate-authority", "client-certificate", "client-key", "tokenFile"})
CONNECTIONS = 32
"""Connections kept per API server: as many as services that roll out side by side."""


def connect(kubeconfig: Path | None, context: str | None) -> client.ApiClient:
    """A client for the context (the current one where None), in-cluster where no file is given.

    Raise Permanent for a configuration that cannot be used, saying what to change.
    """
    settings = client.Configuration()
    of_environment = settings.proxy
    settings.retries = urllib3.Retry(0)
    settings.connection_pool_maxsize = CONNECTIONS
    with TemporaryDirectory(prefix="flowmaster-") as folder:
        try:
            if kubeconfig is None:
                config.load_incluster_config(client_configuration=settings)
            else:
                _load(kubeconfig, context, settings, folder)
        except config.ConfigException as error:
            raise (Permanent if kubeconfig else NotConfigured)(
                f"no access to a cluster: {error}; set FLOWMASTER_KUBECONFIG to a kubeconfig, "
                "or run in a pod with a service account"
            ) from error
        if on_loopback(settings.host) and settings.proxy == of_environment:
            settings.proxy = None
        made = client.ApiClient(settings)
        _into_memory(made, Path(folder), kubeconfig)
    return made


def _into_memory(made: client.ApiClient, folder: Path, kubeconfig: Path | None) -> None:
    """Keys and certificates that a kubeconfig carries itself the library writes to files for good:
    a process that is killed would leave them behind. We read them again, and the folder goes."""
    settings, pool = made.configuration, made.rest_client.pool_manager.connection_pool_kw
    if _is_in(folder, settings.ssl_ca_cert):
        pool |= {"ca_certs": None, "ca_cert_data": Path(settings.ssl_ca_cert).read_text("ascii")}
    if not (_is_in(folder, settings.key_file) or _is_in(folder, settings.cert_file)):
        return
    context = create_urllib3_context(cert_reqs=pool["cert_reqs"])
    try:
        context.load_cert_chain(settings.cert_file, settings.key_file)
    except (OSError, TypeError) as error:
        raise Permanent(
            f"the client certificate in kubeconfig {kubeconfig} and its key cannot be used "
            f"({type(error).__name__}); check FLOWMASTER_KUBECONFIG"
        ) from None
    pool |= {"cert_file": None, "key_file": None, "ssl_context": context}


def _is_in(folder: Path, file: str | None) -> bool:
    return file is not None and Path(file).is_relative_to(folder)


def _load(
    kubeconfig: Path, context: str | None, settings: client.Configuration, folder: str
) -> None:
    """What is odd in a kubeconfig is not shown, and neither is the library's error: it has all of
    the file."""
    try:
        config.load_kube_config_from_dict(
            _read(kubeconfig, context),
            context=context,
            client_configuration=settings,
            persist_config=False,
            temp_file_path=folder,
        )
    except (ValueError, TypeError, AttributeError, KeyError, OSError) as error:
        raise Permanent(
            f"kubeconfig {kubeconfig} is not of the form of one ({type(error).__name__}): see its "
            "clusters and users, and the files that they name; check FLOWMASTER_KUBECONFIG"
        ) from None


def _read(kubeconfig: Path, context: str | None) -> dict[str, Any]:
    try:
        content = YAML(typ="safe").load(kubeconfig.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise Permanent(
            f"kubeconfig {kubeconfig} cannot be read: {_why(error)}; check FLOWMASTER_KUBECONFIG"
        ) from None  # YAML's error shows the lines around: tokens stand in them
    if not isinstance(content, dict):
        raise Permanent(f"kubeconfig {kubeconfig} is not a kubeconfig; check FLOWMASTER_KUBECONFIG")
    _refuse_programs(kubeconfig, content, context)
    _make_absolute(content, kubeconfig.absolute().parent)
    return content


def _why(error: OSError | UnicodeDecodeError | YAMLError) -> str:
    """Where and what, with nothing of the file in it."""
    if isinstance(error, OSError):
        return str(error.strerror)
    mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
    return f"line {mark.line + 1} is not YAML" if mark else "it is not YAML in UTF-8"


def _make_absolute(content: dict[str, Any], folder: Path) -> None:
    """Files are named relative to the kubeconfig, as kubectl reads them."""
    for plural, singular in (("clusters", "cluster"), ("users", "user")):
        for entry in content.get(plural) or ():
            named = entry.get(singular) or {}
            for key in FILES & named.keys():
                named[key] = str(folder / named[key])


def _refuse_programs(kubeconfig: Path, content: dict[str, Any], context: str | None) -> None:
    """A kubeconfig that names a program to run is code, and runs with our rights."""
    contexts = {c["name"]: c["context"] for c in content.get("contexts") or ()}
    name = context or content.get("current-context") or ""
    if name not in contexts:
        raise UnknownName(f"context in {kubeconfig}", name, contexts)
    users = {user["name"]: user.get("user") or {} for user in content.get("users") or ()}
    user = users.get(contexts[name].get("user"), {})
    if "exec" in user or "auth-provider" in user:
        raise Permanent(
            f"context {name!r} of {kubeconfig} gets its credentials by running a program, which "
            "would run with the platform's rights; give it a token or a client certificate"
        )
