"""The JSON API below /api/v1, for the customer's own application. Described in docs/api.md and by openapi.json."""
