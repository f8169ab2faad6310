// Pictures become jobs, a few at a time, and their cards are told what comes of them.

import { split } from "./batches.js";
import { follow } from "./follow.js";
import { Trouble, call, json, pause } from "./http.js";

const LANES = 3; // requests and streams at once: a browser has six connections to a server
const TRIES = 6;

/** One press of the button. */
export class Work {
  #canceling = new AbortController();
  #jobs = new Set();

  constructor({ fields, limits, anew, changed }) {
    Object.assign(this, { fields, limits, anew, changed });
  }

  get canceled() {
    return this.#canceling.signal.aborted;
  }

  /** Caption these cards' pictures, each by itself, or those of one card together. */
  async run(cards) {
    const batches = cards.some(({ files }) => files.length > 1)
      ? cards.map((card) => [card])
      : split(cards, this.limits);
    cards.forEach((card) => card.is("waiting"));
    const lanes = Array.from({ length: LANES }, async () => {
      while (batches.length) await this.#caption(batches.shift());
    });
    await Promise.all(lanes);
  }

  /** Stop: what was not sent stays here, and the jobs of the rest are canceled. */
  async cancel() {
    this.#canceling.abort();
    await Promise.allSettled(
      [...this.#jobs].map((id) => call(`/captionImage/${id}/cancel`, { method: "POST" })),
    );
  }

  async #caption(cards) {
    try {
      const { id } = await this.#submit(cards);
      this.#all(cards, (card) => card.is("queued"));
      this.#jobs.add(id);
      if (this.canceled) await this.cancel(); // it came just then
      await this.#follow(id, cards);
      this.#jobs.delete(id);
    } catch (error) {
      this.#all(cards, (card) => this.#fail(card, error, cards.indexOf(card)));
    }
  }

  async #submit(cards) {
    const headers = { "Idempotency-Key": random() };
    if (this.anew) headers["Cache-Control"] = "no-cache";
    const signal = this.#canceling.signal;
    for (let tries = 1; ; tries += 1) {
      signal.throwIfAborted();
      this.#all(cards, (card) => card.is("sending"));
      try {
        return await json("/captionImage", { method: "POST", headers, body: this.#form(cards), signal });
      } catch (error) {
        if (!(error instanceof Trouble) || !error.passes || tries === TRIES) throw error;
        const seconds = Math.min(error.retryAfter ?? 2 ** tries, 30);
        this.#all(cards, (card) => card.is("waiting", `${error.message} Trying again…`));
        await pause(seconds * 1000, signal);
      }
    }
  }

  #form(cards) {
    const form = new FormData();
    for (const [name, value] of this.fields) form.append(name, value);
    for (const file of cards.flatMap((card) => card.files)) form.append("images", file, file.name);
    return form;
  }

  async #follow(id, cards) {
    await follow(id, {
      image: (view) => {
        cards[view.position]?.take(view);
        this.changed();
      },
      partial: (view) => cards[view.position]?.writing(view),
      progress: (status) => {
        const waiting = cards.filter((card) => card.state === "queued");
        if (status === "running") this.#all(waiting, (card) => card.is("running"));
      },
    });
    if (cards.every((card) => card.ended)) return;
    const job = await json(`/captionImage/${id}`); // the stream ended otherwise than we know
    job.images.forEach((view) => cards[view.position]?.take(view));
    this.#all(cards, (card) => card.ended || card.fails("The job has ended without it."));
  }

  #fail(card, error, index) {
    if (card.ended) return;
    if (error.name === "AbortError") {
      card.is("canceled");
      return;
    }
    if (!(error instanceof Trouble)) {
      console.error(error);
      card.fails("This page made a mistake.");
      return;
    }
    const own = error.errors.find((each) => each.index === index);
    card.fails(own?.detail || error.message);
  }

  #all(cards, change) {
    cards.forEach(change);
    this.changed();
  }
}

/** A key of its own for each request, so that one that is sent again makes no second job. */
function random() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
