"""`seamkeeper send`: a signed sample event, posted to the receiver."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import click

from console.cli import output
from console.cli.failing import CannotReach
from seamkeeper import settings

_WHY = {
    401: "It does not believe the signature: is its SEAM_WEBHOOK_SECRET ours, and is the clock right?",
    404: "Is there a receiver? The path is /webhooks/seam.",
    413: "The body is larger than SEAMKEEPER_MAX_BODY_BYTES.",
    503: "It could not store the event: does its Redis run?",
}


@click.command("send")
@click.argument("event_type", required=False)
@click.option("--set", "assignments", multiple=True, metavar="FIELD=VALUE", help="A field of the sample.")
@click.option("--data", type=click.File("rb"), help="A whole body instead of a sample; - is stdin.")
@click.option("--to", "url", default="http://127.0.0.1:8000/webhooks/seam", show_default=True)
@click.option(
    "--secret-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Instead of SEAM_WEBHOOK_SECRET.",
)
@click.option("--duplicate", is_flag=True, help="Send it twice.")
@click.option("--bad-signature", is_flag=True, help="Send it as somebody else would.")
@output.json_option
def send_command(
    event_type: str | None, assignments: tuple[str, ...], data: BinaryIO | None, url: str, secret_file: Path | None,
    duplicate: bool, bad_signature: bool, as_json: bool,
) -> int:  # fmt: skip
    """Sign a sample event of EVENT_TYPE (or the body of --data) with our secret and post it.

    Prints the status and the event_id. Exit 1 when the receiver refuses it, 5 when there is none.
    """
    if (event_type is None) == (data is None) or (data and assignments):
        raise click.UsageError("Give either EVENT_TYPE, with --set if you like, or --data.")
    secret = _secret(secret_file)
    body = data.read() if data else json.dumps(_sample(event_type or "", assignments)).encode()
    headers = _signed(body, secret, is_bad=bad_signature)
    statuses = [_post(url, body, headers) for _ in range(2 if duplicate else 1)]
    if as_json:
        output.print_json({"event_id": _event_id(body), "statuses": statuses})
    else:
        click.echo(f"{' '.join(map(str, statuses))} {output.printable(_event_id(body))}")
    refused = [status for status in statuses if not 200 <= status < 300]
    for status in refused[:1]:
        click.echo(f"The receiver refused it ({status}). {_WHY.get(status, '')}".strip(), err=True)
    return 1 if refused else 0


def _secret(file: Path | None) -> str:
    """The first secret, which is the newest one while it is replaced."""
    told = {"SEAM_WEBHOOK_SECRET_FILE": str(file)} if file else None
    return settings.load(told, need=("SEAM_WEBHOOK_SECRET",)).webhook_secrets[0]


def _signed(body: bytes, secret: str, *, is_bad: bool) -> dict[str, str]:
    from standardwebhooks import Webhook

    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise click.UsageError(f"--data is not UTF-8: {error}") from error
    at, message_id = datetime.now(UTC), f"msg_{uuid.uuid4().hex}"
    signature = Webhook(secret).sign(message_id, at, f"{text} " if is_bad else text)
    return {"svix-id": message_id, "svix-timestamp": str(int(at.timestamp())), "svix-signature": signature}


def _post(url: str, body: bytes, headers: dict[str, str]) -> int:
    import httpx

    try:
        is_here = httpx.URL(url).host in ("127.0.0.1", "localhost", "::1")  # no proxy stands in front of this machine
        return httpx.post(url, content=body, headers=headers, timeout=20, trust_env=not is_here).status_code
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise click.UsageError(f"--to {url}: {error}") from error
    except (httpx.HTTPError, OSError, ValueError) as error:
        raise CannotReach(f"The receiver at {url} does not answer: {error or type(error).__name__}") from error


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
        if not equals or not name:
            raise click.UsageError(f"--set {assignment}: needs FIELD=VALUE")
        event[name] = value
    return event


def _event_id(body: bytes) -> str | None:
    """None when the body holds none."""
    try:
        return str(json.loads(body)["event_id"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
