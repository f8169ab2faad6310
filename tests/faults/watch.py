"""Follows every job over HTTP: when each became final, and that nothing final ever changes."""

import threading
import time
from typing import Any

import httpx

from tests.faults.load import Posted

UNFINISHED = ("queued", "running", "canceling")
PAGE = 50
LOOK_S = 1.0
Job = dict[str, Any]
Result = list[tuple[Any, ...]]


def is_final(job: Job) -> bool:
    return job["status"] not in UNFINISHED


def result_of(job: Job) -> Result:
    """What may never change once the job is final, image by image."""
    return [
        (image["position"], image["status"], image["caption"], image["attempt"],
         image["finished_at"])
        for image in job["images"]
    ]  # fmt: skip


class Watch:
    """Looks at accepted jobs again and again while its block runs."""

    def __init__(self, base: str, posted: Posted) -> None:
        self.first_results: dict[str, Result] = {}
        """Each job's result as it was when first seen final."""
        self.final_at: dict[str, float] = {}
        self._http = httpx.Client(base_url=base, timeout=30)
        self._posted = posted
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look_for_ever, name="watch", daemon=True)

    def open_jobs(self) -> list[str]:
        """Accepted jobs that were not yet seen final."""
        return [url for url in list(self._posted.accepted) if url not in self.final_at]

    def all_jobs(self) -> dict[str, Job]:
        """Every job that the service lists, by address: also those whose 202 never arrived."""
        jobs: dict[str, Job] = {}
        page: str | None = "/captionImage"
        while page is not None:
            answer = self._http.get(page).raise_for_status()
            for url in (listed["urls"]["self"] for listed in answer.json()):
                jobs[url] = self._http.get(url).raise_for_status().json()
            page = answer.links.get("next", {}).get("url")
        return jobs

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=30)
        self._http.close()

    def _look_for_ever(self) -> None:
        while not self._stop.wait(LOOK_S):
            try:
                self._look()
            except (httpx.HTTPError, ValueError):
                continue  # the API is being broken right now

    def _look(self) -> None:
        waiting = self.open_jobs()
        for start in range(0, len(waiting), PAGE):
            ids = [("id", url.rsplit("/", 1)[1]) for url in waiting[start : start + PAGE]]
            answer = self._http.get("/captionImage", params=ids).raise_for_status()
            for job in answer.json():
                if is_final(job):
                    self._remember(job["urls"]["self"])

    def _remember(self, url: str) -> None:
        whole = self._http.get(url).raise_for_status().json()
        self.first_results[url] = result_of(whole)
        self.final_at[url] = time.monotonic()
        self._posted.final_images += len(whole["images"])
