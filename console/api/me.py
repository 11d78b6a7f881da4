"""Who am I? For trying a token."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.requests import Request

from console.api.operations import read
from console.web.people import person_of
from seamkeeper.settings import Role

router = APIRouter(tags=["me"])


class Me(BaseModel):
    """The name and role behind the token."""

    name: str
    role: Role


@read(router, "/me", Me)
def get_me(request: Request) -> Any:
    """Who the token belongs to, and what it may do."""
    person = person_of(request)
    return {"name": person.name, "role": person.role}
