// A job's news as it comes: server-sent events (read with fetch, which can send headers), and looks
// at the job where no stream gets through.

import { call, json, pause } from "./http.js";

const FINAL = ["succeeded", "partial", "failed", "canceled", "expired"];
const AGAIN_MS = 1000;
const LOOK_MS = 1500;
const STREAMS_FAILED = 2; // in a row; then it is looked at instead

/** Tell of each image that is final, `image(view)`, and of progress, until the job has ended. */
export async function follow(id, news) {
  const seen = { last: 0, peeked: 0 };
  let failed = 0;
  while (failed < STREAMS_FAILED) {
    try {
      if (await stream(id, seen, news)) return;
      failed = 0;
    } catch (error) {
      if (isGone(error)) throw error;
      failed += 1;
    }
    await pause(AGAIN_MS);
  }
  await look(id, news);
}

/** The events after the last that was seen. Whether the job's end was among them. */
async function stream(id, seen, news) {
  const headers = { Accept: "text/event-stream", "Last-Event-ID": String(seen.last) };
  const answer = await call(`/captionImage/${id}/events`, { headers });
  if (answer.status === 204) return true;
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return false;
    const blocks = (text + value).split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const event = parsed(block);
      if (event && tell(event, news)) return true;
      if (event?.event === "partial") peek(id, seen, news);
      if (event?.id) seen.last = Number(event.id);
    }
  }
}

function parsed(block) {
  const event = {};
  for (const line of block.split("\n")) {
    const [, name, value] = /^(event|id|data): ?(.*)$/.exec(line) || [];
    if (name) event[name] = value;
  }
  return event.event && event.data ? { ...event, data: JSON.parse(event.data) } : null;
}

function tell({ event, data }, news) {
  if (event === "image") news.image(data);
  if (event === "partial") news.partial(data);
  if (event === "progress") news.progress(data.status);
  return event === "end" || event === "deleted";
}

/** Pictures that are in line for their styles have captions, which no event tells before. */
async function peek(id, seen, news) {
  if (Date.now() - seen.peeked < LOOK_MS) return;
  seen.peeked = Date.now();
  const job = await json(`/captionImage/${id}`).catch(() => ({ images: [] }));
  job.images.filter(isStyling).forEach(news.image);
}

async function look(id, news) {
  for (let failed = 0; ; ) {
    try {
      const job = await json(`/captionImage/${id}`);
      failed = 0;
      job.images.filter((image) => image.finished_at || isStyling(image)).forEach(news.image);
      news.progress(job.status);
      if (FINAL.includes(job.status)) return;
    } catch (error) {
      failed += 1;
      if (isGone(error) || failed > 20) throw error;
    }
    await pause(LOOK_MS);
  }
}

function isStyling(image) {
  return image.status === "styling";
}

function isGone(error) {
  return [401, 403, 404, 410].includes(error.status);
}
