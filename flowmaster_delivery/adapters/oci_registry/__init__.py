"""The OCI registry: manifests by tag and digest, labels, version tags, signatures.

Protocol: OCI distribution specification 1.1, and the token flow that GitLab's registry asks for.
A digest is believed only after it was reckoned from the bytes that came. Layers are never read.
"""

from flowmaster_delivery.adapters.oci_registry.registry import OciRegistry

__all__ = ["OciRegistry"]
