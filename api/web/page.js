// The page: pictures come in, a form says how, and cards fill in.

import { refusal } from "./batches.js";
import { Card } from "./cards.js";
import * as form from "./form.js";
import { useKey, whenRefused } from "./http.js";
import { Work } from "./work.js";

const at = (id) => document.getElementById(id);
let cards = [];
let limits = null;
let work = null;

function add(files) {
  const fresh = [...files].map((file) => card([file]));
  cards.push(...fresh);
  at("cards").append(...fresh.map(({ element }) => element));
  tell();
}

function card(files) {
  const made = new Card(files, {
    onRemove: () => {
      const next = made.element.nextElementSibling ?? made.element.previousElementSibling;
      drop(made);
      (next?.querySelector("button:not([hidden])") ?? at("pictures")).focus();
    },
  });
  return made;
}

function drop(gone) {
  cards = cards.filter((other) => other !== gone);
  gone.remove();
  tell();
}

async function start(wanted) {
  trouble("");
  const sent = arrange(wanted);
  if (sent === null) return;
  work = new Work({ fields: form.fields(), limits, anew: form.anew(), changed: tell });
  tell();
  at("bar").scrollIntoView({ block: "nearest" });
  const fitting = sent.filter((each) => {
    const why = each.files.map((file) => refusal(file, limits)).find(Boolean);
    if (why) each.fails(why);
    return !why;
  });
  try {
    await work.run(fitting);
  } finally {
    work = null;
    tell();
  }
}

/** The pictures of these cards on one, or each on a card of its own, as is asked for. */
function arrange(wanted) {
  const files = wanted.flatMap((each) => each.files);
  const most = Math.min(form.together(), limits.max_images);
  if (most === 0) {
    if (files.length === wanted.length) return wanted;
    return replaced(wanted, files.map((file) => card([file])));
  }
  if (files.length > most) {
    trouble(`One caption may be of at most ${most} pictures; these are ${files.length}.`);
    return null;
  }
  return replaced(wanted, [card(files)]);
}

function replaced(old, fresh) {
  old[0].element.before(...fresh.map(({ element }) => element));
  const place = cards.indexOf(old[0]);
  cards.splice(place, 0, ...fresh);
  cards = cards.filter((each) => !old.includes(each));
  old.forEach((each) => each.remove());
  return fresh;
}

function tell() {
  const count = (state) => cards.filter((each) => each.state === state).length;
  const [ready, done, failed, canceled] = ["ready", "done", "failed", "canceled"].map(count);
  const ended = done + failed + canceled;
  const total = cards.length - (work ? 0 : ready);
  at("empty").hidden = cards.length > 0;
  at("bar").hidden = cards.length === 0;
  at("progress").hidden = !work;
  at("progress").max = Math.max(total, 1);
  at("progress").value = ended;
  at("cancel").hidden = !work;
  at("clear").hidden = Boolean(work);
  at("again").hidden = Boolean(work) || failed + canceled === 0;
  at("start").disabled = Boolean(work) || ready === 0 || limits === null;
  at("start").textContent = work ? "Working…" : ready > 1 ? `Caption ${ready} pictures` : "Caption";
  const said = work || ended ? [`${done} of ${total} captioned`] : [];
  if (failed) said.push(`${failed} failed`);
  if (canceled) said.push(`${canceled} canceled`);
  if (!work && ready) said.push(`${ready} ready to be sent`);
  const text = `${said.join(", ")}.`;
  if (at("said").textContent !== text) at("said").textContent = text;
}

function trouble(words) {
  at("trouble").textContent = words;
  at("trouble").hidden = !words;
}

async function load() {
  try {
    limits = await form.loadModels();
    trouble("");
  } catch (error) {
    trouble(error.message);
    return;
  }
  tell();
  await form.loadStyles();
}

at("pictures").addEventListener("change", ({ target }) => {
  add(target.files);
  target.value = ""; // so that the same file may be chosen again
});
at("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!at("start").disabled) start(cards.filter(({ state }) => state === "ready"));
});
at("again").addEventListener("click", () => {
  const wanted = cards.filter(({ state }) => state === "failed" || state === "canceled");
  start(wanted);
});
at("cancel").addEventListener("click", () => work?.cancel());
at("clear").addEventListener("click", () => {
  cards.forEach((each) => each.remove());
  cards = [];
  trouble("");
  tell();
  at("pictures").focus();
});
at("key").addEventListener("change", ({ target }) => {
  useKey(target.value);
  load();
});

whenRefused(() => (at("key-field").hidden = false));

document.addEventListener("paste", ({ clipboardData }) => {
  if (clipboardData?.files.length) add(clipboardData.files);
});
document.addEventListener("dragover", (event) => {
  if (!event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  at("drop").classList.add("over");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) at("drop").classList.remove("over");
});
document.addEventListener("drop", (event) => {
  at("drop").classList.remove("over");
  if (!event.dataTransfer?.files.length) return;
  event.preventDefault();
  add(event.dataTransfer.files);
});

load();
