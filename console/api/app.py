"""The JSON API, put together: which operations there are, what each error looks like, how it describes itself."""

from __future__ import annotations

from fastapi import FastAPI, Security
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from redis import RedisError
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from console.api import dead_letters, desired, events, failing, issues, me, queues, replays, users
from console.api.answers import AsciiJson
from console.api.body_limit import BodyLimit

PATH = "/api/v1"
_DESCRIPTION = """Set what is desired of each access system user, and read how they stand.

Every operation takes a bearer token (SEAMKEEPER_API_TOKENS) with the role that it names: a viewer reads, with names,
e-mail addresses and telephone numbers masked; an operator also writes; an admin also discards."""
_TOKEN = HTTPBearer(auto_error=False, scheme_name="token", description="One of SEAMKEEPER_API_TOKENS.")


def create_api() -> FastAPI:
    """The application that the console mounts. Who asks was found out before (`access.Access`), the connections come
    with the lifespan of the console."""
    api = FastAPI(
        title="Seamkeeper",
        version="1",
        summary="Keeps access system users the way you want them.",
        description=_DESCRIPTION,
        servers=[{"url": PATH}],
        root_path_in_servers=False,
        openapi_url="/openapi.json",
        docs_url=None,  # both load scripts from elsewhere, which our policy forbids
        redoc_url=None,
        redirect_slashes=False,
        separate_input_output_schemas=False,
        default_response_class=AsciiJson,
        dependencies=[Security(_TOKEN)],
        generate_unique_id_function=lambda route: route.name,
        exception_handlers={
            HTTPException: failing.refused,
            RequestValidationError: failing.not_valid,
            SQLAlchemyError: failing.database_away,
            RedisError: failing.redis_away,
            OSError: failing.redis_away,
            Exception: failing.mistake,
        },
    )
    api.add_middleware(BodyLimit)
    for each in (me, users, desired, issues, events, dead_letters, replays, queues):
        api.include_router(each.router)
    return api
