"""`flowmaster`: every action of the UI, and the ones that the UI cannot show.

Here belongs what reads arguments, asks the platform's server, and shows what came back; starting
the parts of an installation (`up`, `serve`, `sandbox`) and the demo as well. Nothing is decided
here. A command's module is imported when it is used: `flowmaster --help` answers at once.
"""

from __future__ import annotations

from flowmaster_delivery.cli.root import main

__all__ = ["main"]
