"""What every route has in common: the keys it takes, and how it refuses."""

from api.openapi.parts import Json, problems

OPEN = ("/", "/healthz", "/readyz", "/web/{file}")
ANYWHERE = problems(s414="The address is too long.", s431="A header is too large.")
METHODS = ("get", "post", "put", "patch", "delete")
REFUSALS = problems(
    s401="No API key, or one that is not valid; never where keys are off.",
    s403="The API key has not the scope that this needs.",
    s429="Too many requests. Try again after Retry-After seconds.",
)


def schemes() -> Json:
    """The two ways to show a key."""
    return {
        "bearer": {"type": "http", "scheme": "bearer", "description": "An API key."},
        "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }


def guarded(paths: Json) -> Json:
    """The same paths, with what the guard adds to those that are not open to all."""
    for path, item in paths.items():
        for method in METHODS:
            if method not in item:
                continue
            item[method]["responses"] = ANYWHERE | item[method]["responses"]
            if path in OPEN:
                item[method]["security"] = []
            else:
                item[method]["responses"] = REFUSALS | item[method]["responses"]
    return paths
