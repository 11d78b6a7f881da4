"""Who carries the deliveries to their webhooks? One task beside the API, in the manner of Svix."""

import asyncio
import contextlib

import httpx

from . import signing
from .clock import utc_now
from .outbox import REFUSED, TIMED_OUT, Job, Outcome
from .world import World

USER_AGENT = "Svix-Webhooks/1.99.1"


class Courier:
    """Sends what is due in the outbox, with bounded concurrency."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Deliver until cancelled."""
        outbox = self._world.outbox
        loop = asyncio.get_running_loop()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile; nobody waits
                loop.call_soon_threadsafe(self._wake.set)

        outbox.on_change = wake
        try:
            await self._until_needed()
            async with httpx.AsyncClient(timeout=None, trust_env=False) as client:  # noqa: S113 - `_attempt` has one
                while True:
                    self._wake.clear()
                    for job in outbox.take():
                        task = asyncio.create_task(self._deliver(client, job))
                        self._tasks.add(task)
                        task.add_done_callback(self._tasks.discard)
                    await self._sleep(outbox.seconds_until_next())
        finally:
            outbox.on_change = lambda: None
            await self._stop()

    async def _until_needed(self) -> None:
        """Most worlds in tests never deliver anything, and the libraries for it are slow to load."""
        while not self._world.webhooks:
            self._wake.clear()
            await self._sleep(None)
        await asyncio.to_thread(signing.load)

    async def _sleep(self, seconds: float | None) -> None:
        with contextlib.suppress(TimeoutError):  # not wait_for: in Python 3.11 it may swallow a cancellation
            async with asyncio.timeout(0.5 if seconds is None else min(seconds, 0.5)):
                await self._wake.wait()

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _deliver(self, client: httpx.AsyncClient, job: Job) -> None:
        outcome = Outcome(None, "cancelled")
        try:
            outcome = await self._attempt(client, job)
        finally:
            self._world.outbox.report(job, outcome)

    async def _attempt(self, client: httpx.AsyncClient, job: Job) -> Outcome:
        webhook = self._world.webhooks.get(job.message.webhook_id)
        if webhook is None or webhook.is_disabled:
            return Outcome(None, "webhook removed or disabled", is_abort=True)
        settings = self._world.outbox.settings
        headers = signing.headers(
            webhook.secrets, job.message.svix_id, job.message.body, at=utc_now(), brand=settings.brand
        )
        headers |= {"content-type": "application/json", "user-agent": USER_AGENT}
        try:
            async with asyncio.timeout(settings.time_out):  # for the whole answer, where httpx would count each read
                answer = await client.post(webhook.url, content=job.message.body, headers=headers)
        except TimeoutError:
            return Outcome(None, TIMED_OUT)
        except (httpx.HTTPError, httpx.InvalidURL, OSError):
            return Outcome(None, REFUSED)
        return self._read(answer, webhook.webhook_id)

    def _read(self, answer: httpx.Response, webhook_id: str) -> Outcome:
        control = answer.headers.get("webhook-delivery", "")  # Svix, "receiver control headers"
        if control == "disable":
            self._world.disable_webhook(webhook_id)
        wish = answer.headers.get("retry-after", "")
        return Outcome(
            answer.status_code,
            retry_after=float(wish) if wish.isdigit() else None,
            is_abort=control in ("abort-message", "disable"),
        )
