// A card for each picture (or for all of them together): what is known of it, put in as text only.

const STATES = {
  ready: "Ready to be sent",
  waiting: "Waiting to be sent",
  sending: "Sending…",
  queued: "In line…",
  running: "Being looked at…",
  styling: "Writing in your styles…",
  canceled: "Canceled",
};

const UNDER_WAY = ["waiting", "sending", "queued", "running", "styling"];

export class Card {
  #part;

  constructor(files, { onRemove }) {
    this.files = files;
    this.state = "ready";
    const made = document.querySelector("#card").content.cloneNode(true);
    this.element = made.querySelector(".card");
    this.#part = (name) => this.element.querySelector(`.${name}`);
    this.#part("name").textContent = this.name;
    this.#show();
    this.#part("copy").addEventListener("click", () => copy(this.#part("copy"), this.caption));
    this.#part("remove").setAttribute("aria-label", `Remove ${this.name}`);
    this.#part("remove").addEventListener("click", onRemove);
    this.is("ready");
  }

  get file() {
    return this.files[0];
  }

  get name() {
    return this.files.length > 1 ? `${this.files.length} pictures together` : this.file.name;
  }

  /** Whether nothing more will come. */
  get ended() {
    return ["done", "failed", "canceled"].includes(this.state);
  }

  is(state, words = STATES[state]) {
    this.state = this.element.dataset.state = state;
    put(this.#part("state"), words || "");
    this.#part("remove").hidden = UNDER_WAY.includes(state);
  }

  fails(words) {
    this.is("failed", words);
  }

  /** Take what the server says of the image: see the routes' `images` and the event `image`. */
  take(view) {
    if (view.status === "succeeded") this.#captioned(view);
    else if (view.status === "styling" && !this.caption) this.writing(view);
    else if (view.status === "canceled") this.is("canceled");
    else if (view.status === "failed") {
      this.fails(view.error?.detail || view.error?.title || "It failed.");
    }
  }

  /** Show the plain caption, if it is told, and styled ones that are still being written. */
  writing({ caption, styled }) {
    if (this.ended) return;
    if (caption) this.#plain(caption);
    if (this.state !== "styling") this.is("styling");
    this.#styled({ styled });
  }

  remove() {
    for (const img of this.element.querySelectorAll("img")) URL.revokeObjectURL(img.src);
    this.element.remove();
  }

  #plain(caption) {
    this.caption = caption;
    put(this.#part("caption"), caption);
    for (const img of this.element.querySelectorAll(".picture img")) img.alt = caption;
    this.#part("copy").hidden = false;
    this.#part("copy").setAttribute("aria-label", `Copy the caption of ${this.name}`);
  }

  #captioned(view) {
    this.#plain(view.caption);
    list(this.#part("tags"), view.tags || []);
    const marks = [];
    if (view.flagged === true) marks.push(["Flagged", "flagged"]);
    if (view.flagged === false) marks.push(["Not flagged", "clear"]);
    if (view.cached) marks.push(["From the cache", "cached"]);
    list(this.#part("marks"), marks.map(([text]) => text), marks.map(([, kind]) => kind));
    this.is("done");
    this.#styled(view);
  }

  #styled({ styled, style_warning: warning }) {
    const part = this.#part("styled");
    const made = (styled || []).map(({ style, captions }) => section(style, captions));
    if (warning) made.push(paragraph("warning", warning.detail || warning.title));
    part.replaceChildren(...made);
    part.hidden = made.length === 0;
  }

  #show() {
    const shown = this.files.slice(0, 4).map((file) => {
      const img = document.createElement("img");
      Object.assign(img, { alt: "", decoding: "async", src: URL.createObjectURL(file) });
      img.addEventListener("error", () => img.replaceWith(paragraph("unseen", "No preview")));
      return img;
    });
    this.#part("picture").replaceChildren(...shown);
    this.#part("picture").dataset.count = shown.length;
  }
}

function section(style, captions) {
  const whole = document.createElement("section");
  const title = document.createElement("h3");
  title.textContent = style;
  const rows = captions.map((text) => {
    const row = document.createElement("div");
    const button = document.createElement("button");
    Object.assign(button, { type: "button", textContent: "Copy" });
    button.setAttribute("aria-label", `Copy this ${style} caption`);
    button.addEventListener("click", () => copy(button, text));
    row.append(paragraph("", text), button);
    return row;
  });
  whole.append(title, ...rows);
  return whole;
}

function paragraph(kind, text) {
  const made = document.createElement("p");
  made.className = kind;
  made.textContent = text;
  return made;
}

function put(element, text) {
  element.textContent = text;
  element.hidden = !text;
}

function list(element, texts, kinds = []) {
  element.replaceChildren(
    ...texts.map((text, n) => {
      const item = document.createElement("li");
      item.textContent = text;
      if (kinds[n]) item.className = kinds[n];
      return item;
    }),
  );
  element.hidden = texts.length === 0;
}

async function copy(button, text) {
  const done = (await clip(text)) ? "Copied" : "Not copied";
  button.textContent = done;
  setTimeout(() => (button.textContent = "Copy"), 1600);
}

async function clip(text) {
  try {
    await navigator.clipboard.writeText(text); // only where the page came by https, or from here
    return true;
  } catch {
    const field = document.createElement("textarea");
    field.value = text;
    field.className = "unseen-field";
    const before = document.activeElement;
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    before?.focus();
    return done;
  }
}
