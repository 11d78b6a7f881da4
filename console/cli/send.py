"""`seamkeeper send`: a signed sample event, posted to the receiver."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from seamkeeper import settings


@click.command("send")
@click.argument("event_type")
@click.option("--set", "assignments", multiple=True, metavar="FIELD=VALUE", help="A field of the event.")
@click.option("--data", type=click.File("r"), help="A whole body instead of a sample; - is stdin.")
@click.option("--to", "url", default="http://127.0.0.1:8000/webhooks/seam", show_default=True)
@click.option("--secret-file", type=click.Path(exists=True, path_type=Path), help="Instead of SEAM_WEBHOOK_SECRET.")
@click.option("--duplicate", is_flag=True, help="Send it twice.")
@click.option("--bad-signature", is_flag=True, help="Send it as somebody else would.")
def send_command(
    event_type: str, assignments: tuple[str, ...], data: Any, url: str, secret_file: Path | None, duplicate: bool,
    bad_signature: bool,
) -> int:  # fmt: skip
    """Sign a sample event of EVENT_TYPE with our secret and post it; prints the status and the event_id."""
    import httpx
    from standardwebhooks import Webhook

    if secret_file:
        secret = settings.webhook_secret(secret_file.read_text(encoding="utf-8").strip())
    else:
        secret = settings.load(need=("SEAM_WEBHOOK_SECRET",)).webhook_secrets[0]
    body = data.read() if data else json.dumps(_sample(event_type, assignments))
    at, message_id = datetime.now(UTC), f"msg_{uuid.uuid4().hex}"
    signature = Webhook(secret).sign(message_id, at, body + " " if bad_signature else body)
    headers = {"svix-id": message_id, "svix-timestamp": str(int(at.timestamp())), "svix-signature": signature}
    statuses = []
    for _ in range(2 if duplicate else 1):
        try:
            statuses.append(httpx.post(url, content=body.encode(), headers=headers, timeout=20).status_code)
        except httpx.HTTPError as error:
            click.echo(f"The receiver at {url} does not answer ({type(error).__name__}).", err=True)
            return 5
    click.echo(f"{' '.join(map(str, statuses))} {_event_id(body)}")
    return 0 if all(200 <= status < 300 for status in statuses) else 1


def _sample(event_type: str, assignments: tuple[str, ...]) -> dict[str, Any]:
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    event: dict[str, Any] = {"event_id": str(uuid.uuid4()), "event_type": event_type, "workspace_id": str(uuid.uuid4())}
    event |= {"created_at": at, "occurred_at": at}
    if event_type.startswith("acs_"):
        event |= {"acs_system_id": str(uuid.uuid4())}
    if event_type.startswith("acs_user."):
        event |= {"acs_user_id": str(uuid.uuid4())}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise click.UsageError(f"--set {assignment}: needs FIELD=VALUE")
        event[name] = value
    return event


def _event_id(body: str) -> str:
    try:
        return str(json.loads(body)["event_id"])
    except (ValueError, KeyError, TypeError):
        return "(unreadable)"
