"""Who is measured: the receiver of this product, the naive one that everybody writes, and bare Starlette.

Each is a factory for `uvicorn --factory`, in one process with uvloop and httptools, on the same Redis.
"""

from __future__ import annotations

import os

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

FACTORIES = {"bare": "bench.contenders:bare", "naive": "bench.contenders:naive"}


def bare() -> Starlette:
    """Reads the body, answers 204: what the framework itself costs."""

    async def receive(request: Request) -> Response:
        await request.body()
        return Response(status_code=204)

    return Starlette(routes=[Route("/webhooks/seam", receive, methods=["POST"])])


def naive() -> Starlette:
    """svix, a dedupe key and `Queue.enqueue`, in a thread so that the loop goes on."""
    import redis
    from rq import Queue, Retry
    from rq.serializers import JSONSerializer
    from svix.webhooks import Webhook, WebhookVerificationError

    client = redis.Redis.from_url(os.environ["REDIS_URL"])
    queue = Queue("events", connection=client, serializer=JSONSerializer)
    webhook = Webhook(os.environ["SEAM_WEBHOOK_SECRET"])

    def store(payload: dict[str, str], body: bytes) -> None:
        if client.set(f"seen:{payload['event_id']}", 1, nx=True, ex=72 * 3600):
            retry = Retry(6, [5, 15, 60, 300, 900, 3600])
            queue.enqueue("workers.jobs.handle_event", kwargs={"body": body.decode()}, retry=retry)

    async def receive(request: Request) -> Response:
        body = await request.body()
        try:
            payload = webhook.verify(body, dict(request.headers))
        except WebhookVerificationError:
            return Response(status_code=401)
        await run_in_threadpool(store, payload, body)
        return Response(status_code=204)

    return Starlette(routes=[Route("/webhooks/seam", receive, methods=["POST"])])
