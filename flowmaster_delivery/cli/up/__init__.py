"""`flowmaster up`: the whole platform on one machine, each part a process of its own.

Here belongs starting, watching and stopping those processes and the folder that they share. What a
part does stands elsewhere: this knows its command line, when it answers, and how it ends.
"""

from __future__ import annotations

from flowmaster_delivery.cli.up.command import up

__all__ = ["up"]
