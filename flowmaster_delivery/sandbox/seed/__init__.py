"""The platform that the sandbox begins with: people, repositories, images, and what runs.

Everything is made from a catalog; nothing here names a service. What the servers do with it
afterwards is theirs.
"""

from flowmaster_delivery.sandbox.seed.forge import Hooks
from flowmaster_delivery.sandbox.seed.platform import Seeded, Servers, seed

__all__ = ["Hooks", "Seeded", "Servers", "seed"]
