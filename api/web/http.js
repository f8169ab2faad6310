// Asking the server, and what it says when it cannot.

/** Why a call gave no answer, in words for people. `errors` names single pictures by their index. */
export class Trouble extends Error {
  constructor(words, { code = "unreachable", status = 0, retryAfter = null, errors = [] } = {}) {
    super(words);
    Object.assign(this, { code, status, retryAfter, errors });
  }

  /** Whether the same call may work later. */
  get passes() {
    return this.status === 0 || this.status === 429 || this.status === 503;
  }
}

let key = "";
let onRefused = () => {};

/** Call this when the server asks for a key, or for another one. */
export function whenRefused(then) {
  onRefused = then;
}

/** Send this API key with each call from now on. */
export function useKey(text) {
  key = text.trim();
}

/** The answer, if it is a good one; else a `Trouble`. An aborted call throws its AbortError. */
export async function call(path, { headers = {}, ...options } = {}) {
  const sent = key ? { ...headers, "X-API-Key": key } : headers;
  let answer;
  try {
    // No mode "no-store": it would send Cache-Control, which asks for captions that are made anew.
    answer = await fetch(path, { ...options, headers: sent });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Trouble("The server cannot be reached.");
  }
  if (answer.ok) return answer;
  if (answer.status === 401 || answer.status === 403) onRefused();
  throw await troubleOf(answer);
}

export async function json(path, options) {
  const answer = await call(path, options);
  return answer.json();
}

/** Wait, unless the signal ends it. */
export function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("Canceled.", "AbortError"));
    }, { once: true });
  });
}

async function troubleOf(answer) {
  let said = {};
  try {
    said = await answer.json();
  } catch {
    // a proxy's own page, perhaps
  }
  const seconds = Number(answer.headers.get("Retry-After"));
  return new Trouble(said.detail || said.title || `The server answers ${answer.status}.`, {
    code: said.code || `http_${answer.status}`,
    status: answer.status,
    retryAfter: Number.isFinite(seconds) && seconds > 0 ? seconds : null,
    errors: Array.isArray(said.errors) ? said.errors : [],
  });
}
