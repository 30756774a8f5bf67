"""`flowmaster demo`: a release, really lived through, from a push to production and back.

Here belong the story, the people in it with their git and GitLab, and how it is told. Everything
that the platform does in it is done by the platform: nothing is staged, and a story that goes
otherwise than told ends with the reason and exit status 1.
"""

from __future__ import annotations

from flowmaster_delivery.cli.demo.command import demo

__all__ = ["demo"]
