"""The sandbox's Prometheus: its query API over what the sandbox's services answered.

Here belongs a documented subset of PromQL and its HTTP API; what the figures are is `traffic`'s
business. A query outside the subset is refused with Prometheus' own error shape, never guessed at.
"""

from flowmaster_delivery.sandbox.prometheus.server import PrometheusSandbox

__all__ = ["PrometheusSandbox"]
