"""A GitLab on loopback: API v4 over real git repositories, git over HTTP, pipelines and webhooks.

Here belongs what a client of GitLab can tell apart: endpoints, errors, roles, tiers, timing. What
the delivery platform makes of it does not belong here; nothing else of the package is imported but
`sandbox.orders`. Its version strings say "sandbox". State lives in memory, repositories below the
data folder.
"""

from flowmaster_delivery.sandbox.gitlab.ci import PER_SERVICE, SINGLE, Ci, CiService, JobTemplate
from flowmaster_delivery.sandbox.gitlab.server import GitLabSandbox

__all__ = ["PER_SERVICE", "SINGLE", "Ci", "CiService", "GitLabSandbox", "JobTemplate"]
