"""Users: which page and which action answers at which address."""

from __future__ import annotations

from collections.abc import Callable

from starlette.routing import Route

from console.web import desired_form, user_actions, user_page, users_page
from console.web.acting import Act, action
from seamkeeper.settings import Role

_ONE = "/users/{acs_user_id:path}"  # an id may hold a slash; so what follows it comes before the page itself


def _act(word: str, act: Act, *, role: Role = "operator") -> Route:
    return action(f"{_ONE}/{word}", act, name=f"user.{word.replace('/', '.')}", role=role, kind="user")


def _page(path: str, answer: Callable[..., object]) -> Route:
    return Route(path, answer, methods=["GET"])


routes = [
    _page("/users", users_page.users),
    _page("/users/plan", users_page.plan),
    action("/users/resync", users_page.resync, name="users.resync"),
    action("/users/sync", users_page.sync_some, name="users.sync"),
    _act("sync", user_actions.sync),
    _act("refresh", user_actions.refresh),
    _act("accept", user_actions.accept),
    _act("pause", user_actions.pause),
    _act("resume", user_actions.resume),
    _act("acknowledge", user_actions.acknowledge),
    _act("snooze", user_actions.snooze),
    _act("suspend", user_actions.suspend),
    _act("recreate", user_actions.recreate, role="admin"),
    _act("reveal", user_actions.reveal, role="viewer"),
    _act("desired/remove", desired_form.remove),
    _act("desired", desired_form.save),
    _page(f"{_ONE}/suspend", user_actions.suspending),
    _page(f"{_ONE}/recreate", user_actions.recreating),
    _page(f"{_ONE}/desired", desired_form.desired_page),
    _page(f"{_ONE}/reveal", user_page.back_to_user),
    _page(_ONE, user_page.user),
]
