"""To a change: the caretaker's system is told which user has which error."""

import os

import httpx

from workers.interface import Change, Permanent, Temporary, Toolbox


def call_the_caretaker(change: Change, tools: Toolbox) -> None:
    """POSTs the user as it is now, not as it was when the error was found; nothing when the error is gone by then."""
    user = tools.user(change.acs_user_id)
    code = change.detail["code"]
    if user is None or code not in [issue["code"] for issue in user["issues"]]:
        return
    told = {"acs_user_id": change.acs_user_id, "acs_system_id": user["acs_system_id"], "code": code}
    try:
        answer = httpx.post(os.environ["CARETAKER_URL"], json=told, timeout=10)
    except httpx.TransportError as error:
        raise Temporary(f"the caretaker does not answer ({type(error).__name__})") from error
    if answer.status_code == 429 or answer.status_code >= 500:
        raise Temporary(f"the caretaker answers {answer.status_code}")  # called again after 5 s, 15 s, 1 min, …
    if answer.is_error:
        raise Permanent(f"the caretaker refuses it: {answer.status_code}")  # dead at once; a person reads the reason
