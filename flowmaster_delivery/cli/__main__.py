"""`python -m flowmaster_delivery.cli`: how the launcher starts its own kind."""

from __future__ import annotations

from flowmaster_delivery.cli.root import main

main()
