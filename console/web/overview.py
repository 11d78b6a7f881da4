"""The first page: is it fine, or not?"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from console.banners import AT_MOST, GOAL, banners
from console.first_steps import first_steps
from console.glance import read_kept, read_working
from console.web.rendering import page
from console.web.sparkline import sparkline
from console.web.state import console_of, part
from seamkeeper import clock, journal


def overview(request: Request) -> Response:
    """GET /"""
    console = console_of(request)
    kept, working = part(lambda: read_kept(console)), part(lambda: read_working(console))
    return page(
        request,
        "overview.html",
        kept=kept,
        working=working,
        banners=banners(kept.value, working.value, clock.now()),
        at_most=AT_MOST,
        goal=GOAL,
        most=console.settings.seam_rate,
        steps=first_steps(kept.value, working.value) if kept.value else [],
        statuses=journal.STATUSES,
        sparkline=sparkline,
        can_be_live=True,
    )


routes = [Route("/", overview, methods=["GET"])]
