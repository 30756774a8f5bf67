"""GitLab: its API by python-gitlab, its refs by git's own protocol.

Everything that GitLab is asked or told stands here, and nothing that is decided from it. Shapes of
its JSON are parsed at this edge; what leaves are nouns of `model.source`.
"""

from flowmaster_delivery.adapters.gitlab.forge import GitLabForge

__all__ = ["GitLabForge"]
