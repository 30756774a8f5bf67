"""The people of the seeded platform, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass

DEVELOPER, MAINTAINER = 30, 40
"""GitLab's access levels."""

DOMAIN = "flow-master.example"


@dataclass(frozen=True, slots=True)
class Persona:
    """A user of the sandbox's GitLab. `senior`: a member of the group whose approvals count."""

    username: str
    name: str
    role: int = DEVELOPER
    senior: bool = False

    @property
    def email(self) -> str:
        return f"{self.username}@{DOMAIN}"


ROOT = Persona("root", "Administrator")
PEOPLE = (
    Persona("dana", "Dana Developer"),
    Persona("devi", "Devi Developer"),
    Persona("sam", "Sam Senior", MAINTAINER, senior=True),
    Persona("sofia", "Sofia Senior", MAINTAINER, senior=True),
    Persona("sergio", "Sergio Senior", MAINTAINER, senior=True),
)
AUTHOR = PEOPLE[1]
"""Who wrote what stands in the repositories at the beginning."""
