"""How does Seam's API say no?"""

from .records import Json


class Refusal(Exception):
    """An answer that is not 2xx.

    `validation_errors` maps a parameter to what is wrong with it; the key "" is for the request as a whole.
    """

    def __init__(
        self, status: int, type: str, message: str, validation_errors: dict[str, list[str]] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.type = type
        self.message = message
        self.validation_errors = validation_errors

    def to_json(self, request_id: str) -> Json:
        """The error body (Seam, API errors)."""
        error: Json = {"type": self.type, "message": self.message, "request_id": request_id}
        if self.validation_errors is not None:
            root = self.validation_errors.get("", [])
            fields = {name: {"_errors": texts} for name, texts in self.validation_errors.items() if name}
            error["validation_errors"] = {"_errors": root, **fields}
        return {"error": error, "ok": False}


def invalid(errors: dict[str, list[str]], message: str | None = None) -> Refusal:
    """400: a parameter is missing, unknown or of the wrong form."""
    first_name, first_texts = next(iter(errors.items()))
    said = message or (f"{first_texts[0]} for {first_name!r}" if first_name else first_texts[0])
    return Refusal(400, "invalid_input", said, errors)


def not_found(what: str, id: str) -> Refusal:
    """404, with the type `<what>_not_found`."""
    return Refusal(404, f"{what}_not_found", f"{what} not found: {id}")


def unauthorized() -> Refusal:
    """401: no key, or not the key of this workspace."""
    return Refusal(401, "unauthorized", "Unauthorized: the API key is missing or not valid for this workspace")


OF_STATUS = {
    401: unauthorized(),
    429: Refusal(429, "rate_limit_exceeded", "Too many requests, please try again later"),
    500: Refusal(500, "internal_server_error", "Internal server error"),
    503: Refusal(503, "service_unavailable", "Seam is temporarily unavailable"),
}


def of_status(status: int) -> Refusal:
    """What Seam says with this status when nothing is wrong with the request."""
    return OF_STATUS.get(status) or Refusal(status, "unexpected_error", f"Unexpected error ({status})")
