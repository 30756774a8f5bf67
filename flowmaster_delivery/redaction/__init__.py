"""What must never be seen: the secrets that this process has read, hidden in all that it says.

Whoever reads a secret says `learn`; whoever lets text out of the process says `hidden`. Here
belongs how a secret may look in a text, which ones are known, and the edges that Python itself has
(logging, the last words of a thread). Not here: where secrets are read (`settings`), and the edges
of others (event log, API, Slack), which ask here. Knows nothing of the platform, so that every
layer may use it. What it cannot do stands in docs/security.md.
"""

from flowmaster_delivery.redaction.forms import HIDDEN, SHORTEST, forms_of, without
from flowmaster_delivery.redaction.known import (
    forget_all,
    hidden,
    hidden_within,
    learn,
    meanwhile,
    reveals,
)

__all__ = [
    "HIDDEN",
    "SHORTEST",
    "forget_all",
    "forms_of",
    "hidden",
    "hidden_within",
    "learn",
    "meanwhile",
    "reveals",
    "without",
]
