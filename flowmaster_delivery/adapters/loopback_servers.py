"""Dagster's servers on this pod's loopback, asked for the least that proves that they answer.

A probe starts every few seconds: nothing is imported that it can do without.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping

from flowmaster_delivery.model.errors import Malformed, Unreachable

HOST = "127.0.0.1"
HEALTH = "/grpc.health.v1.Health/Check"
OF_DAGSTER = b"\x0a\x0aDagsterApi"
"""A HealthCheckRequest in protobuf: field 1, the service whose health is asked for."""
SERVING = b"\x08\x01"
INFO = "/server_info"
READS_THE_DATABASE = "{runsOrError(limit: 1) {__typename ... on Error {message}}}"


def check_code_server(port: int, seconds: float) -> None:
    """Raise Unreachable unless the code server says that it serves; it does once the definitions
    are loaded."""
    import grpc

    with grpc.insecure_channel(f"{HOST}:{port}") as channel:
        ask = channel.unary_unary(HEALTH)
        try:
            said = ask(OF_DAGSTER, timeout=seconds)
        except grpc.RpcError as error:
            what = error.code().name if isinstance(error, grpc.Call) else type(error).__name__
            raise Unreachable(f"the code server on port {port} does not answer: {what}") from error
    if said != SERVING:
        raise Unreachable(f"the code server on port {port} answers that it does not serve yet")


def check_webserver(port: int, seconds: float) -> None:
    """Raise Unreachable unless the webserver answers; it need not have reached anything."""
    _ask(port, "GET", INFO, seconds)


def check_webserver_reads(port: int, seconds: float) -> None:
    """Raise Unreachable unless the webserver reads the database."""
    body = json.dumps({"query": READS_THE_DATABASE})
    said = _parsed(_ask(port, "POST", "/graphql", seconds, body), port)
    data = said.get("data")
    found = data.get("runsOrError") if isinstance(data, dict) else None
    if not isinstance(found, dict) or found.get("__typename") != "Runs":
        words = str((found or said).get("message") or said)[:300]
        raise Unreachable(f"the webserver on port {port} cannot read the runs: {words}")


def _ask(port: int, method: str, path: str, seconds: float, body: str | None = None) -> bytes:
    connection = http.client.HTTPConnection(HOST, port, timeout=seconds)
    headers = {"Content-Type": "application/json"} if body else {}
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        said = answer.read()
    except (OSError, http.client.HTTPException) as error:
        words = str(error) or type(error).__name__
        raise Unreachable(f"the webserver on port {port} does not answer: {words}") from error
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise Unreachable(f"the webserver on port {port} answers {answer.status}")
    return said


def _parsed(said: bytes, port: int) -> Mapping[str, object]:
    try:
        found = json.loads(said)
    except ValueError as error:
        raise Malformed(f"what answers on port {port} is not Dagster's webserver") from error
    return found if isinstance(found, dict) else {}
