"""Counting of requests, by what is bounded of them: never by a path, an id or a key."""

import time

from flask import Flask, Response, g, request

from captioner.traffic import Traffic


def register(app: Flask, traffic: Traffic) -> None:
    """Have each answer of the application counted. First of all hooks, so that none is missed."""

    def began() -> None:
        g.began = time.perf_counter()

    def answered(response: Response) -> Response:
        rule = request.url_rule
        traffic.answered(
            route=rule.rule if rule is not None else None,
            method=request.method,
            status=response.status_code,
            seconds=time.perf_counter() - g.began,
            error=g.get("problem"),
        )
        return response

    app.before_request(began)
    app.after_request(answered)
