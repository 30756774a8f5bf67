"""Durations as options take them: `2h`, `90d`, as in a catalog file."""

from __future__ import annotations

from datetime import timedelta

import click


def duration(text: str) -> timedelta:
    """An option's type: `24h`, `300s`, `1h30m`, `14d`. Raise BadParameter for anything else."""
    from flowmaster_delivery.adapters.yaml_catalog.values import duration as parsed

    try:
        return parsed(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
