"""Who asks, and what each role may do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

from starlette.exceptions import HTTPException
from starlette.requests import Request

from seamkeeper.settings import ROLES, Role

By = Literal["machine", "login", "proxy", "token"]


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody, or a program: the name for the audit, the role, and how they were recognised."""

    name: str
    role: Role
    by: By

    def may(self, role: str) -> bool:
        """Each role may do what those before it may: viewer, operator, admin."""
        return ROLES.index(self.role) >= ROLES.index(cast(Role, role))

    @property
    def sees_names(self) -> bool:
        """Viewers see names, e-mail addresses and telephone numbers masked."""
        return self.may("operator")


def person_of(request: Request) -> Person:
    """Whom `access.Access` let in."""
    return cast(Person, request.state.person)


def need(request: Request, role: Role) -> Person:
    """The person, or 403 with the role that it takes."""
    person = person_of(request)
    if not person.may(role):
        raise HTTPException(403, f"This takes the role {role}; {person.name} is signed in as {person.role}.")
    return person
