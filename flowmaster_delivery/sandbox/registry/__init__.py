"""The sandbox's container registry: the OCI distribution API, with GitLab's token flow in front.

Here belongs what a registry knows: blobs, manifests, tags, referrers, and who may pull and push.
What an image is built from, and when, is GitLab's business.
"""

from flowmaster_delivery.sandbox.registry.server import RegistrySandbox

__all__ = ["RegistrySandbox"]
