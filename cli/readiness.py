"""Asks a captioner whether it is ready, and says in words what it still waits for."""

import httpx

ADVICE = ". Start one: captioner worker."
"""The API's advice to an operator; here the workers are started already."""


def what_is_missing(client: httpx.Client, url: str) -> str | None:
    """None when the service is ready, else a phrase. `url` is that of the API."""
    try:
        answer = client.get(f"{url}/readyz")
    except httpx.TransportError:
        return "the API is starting"
    if answer.status_code == httpx.codes.OK:
        return None
    return _in_words(answer)


def has_page(client: httpx.Client, url: str) -> bool:
    """Whether a web page is there to be opened."""
    try:
        return client.get(f"{url}/").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _in_words(answer: httpx.Response) -> str:
    try:
        reasons = answer.json()["reasons"]
        said = [str(reason).replace(ADVICE, " yet").rstrip(".") for reason in reasons.values()]
    except (ValueError, KeyError, TypeError, AttributeError):
        said = []
    return "; ".join(said) or f"the API answers {answer.status_code}"
