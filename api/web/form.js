// What may be asked of this server, as a form, and what was asked, as the fields of a submission.

import { json } from "./http.js";

const at = (id) => document.getElementById(id);
let models = [];

/** Fill in the models that are served. Returns what one request may bring. */
export async function loadModels() {
  const offer = await json("/api/models");
  models = offer.models;
  at("model").replaceChildren(...models.map(({ name }) => new Option(name, name)));
  at("model").disabled = false;
  at("prompt").maxLength = at("flag-prompt").maxLength = offer.limits.max_prompt_chars;
  at("model").addEventListener("change", suit);
  at("flag").addEventListener("change", suit);
  suit();
  return offer.limits;
}

/** Fill in the styles, where this server has them; else the section stays away. */
export async function loadStyles() {
  let offer;
  try {
    offer = await json("/api/styles");
  } catch {
    return;
  }
  at("style-choices").replaceChildren(...offer.styles.map(choice));
  const off = offer.stylers?.configured === false;
  at("styles").disabled = off;
  at("styles-hint").hidden = !off;
  at("styles-hint").textContent = off ? "Not set up on this server." : "";
  at("styles").hidden = offer.styles.length === 0;
}

/** The model that is chosen. */
export function model() {
  return models.find(({ name }) => name === at("model").value);
}

/** How many pictures get one caption together, at most; 0 where each gets its own. */
export function together() {
  return at("collective").checked ? (model()?.collective ?? 0) : 0;
}

/** Whether a caption that was made before will do. */
export function anew() {
  return at("anew").checked;
}

/** Names and values of the fields, besides the pictures. */
export function fields() {
  const given = [["model", at("model").value]];
  const say = (name, value) => value && given.push([name, value]);
  say("prompt", at("prompt").value.trim());
  say("tags", at("tags").checked && "true");
  if (at("flag").checked) say("flag", at("flag-prompt").value.trim() || "true");
  say("collective", together() > 0 && "true");
  return [...given, ...styleFields()];
}

function styleFields() {
  const chosen = [...document.querySelectorAll("#style-choices input:checked")];
  if (chosen.length === 0 || at("styles").disabled || at("styles").hidden) return [];
  const given = chosen.map(({ value }) => ["styles", value]);
  given.push(["style_count", at("style-count").value || "2"]);
  given.push(["style_emoji", String(at("style-emoji").checked)]);
  given.push(["style_hashtags", String(at("style-hashtags").checked)]);
  for (const name of ["tone", "language"]) {
    const value = at(`style-${name}`).value.trim();
    if (value) given.push([`style_${name}`, value]);
  }
  return given;
}

function choice({ name, description }) {
  const label = document.createElement("label");
  const box = document.createElement("input");
  Object.assign(box, { type: "checkbox", value: name });
  label.append(box, document.createElement("span"));
  label.lastChild.textContent = name;
  label.title = description || "";
  return label;
}

/** Show what the chosen model can. */
function suit() {
  const { description = "", chats = false, collective = 0, prompt = "" } = model() || {};
  at("model-hint").textContent = description;
  at("prompt-label").textContent = chats ? "Question" : "Beginning of the caption";
  at("prompt").placeholder = chats ? "Describe this picture." : "a photo of";
  at("prompt-hint").textContent = `Optional. ${prompt}`;
  for (const [name, can] of [["flag", chats], ["collective", collective > 0]]) {
    at(name).disabled = !can;
    if (!can) at(name).checked = false;
  }
  at("flag-field").hidden = !at("flag").checked;
  at("chat-hint").hidden = chats;
  const able = models.filter((other) => other.chats).map(({ name }) => name);
  at("chat-hint").textContent = able.length
    ? `Flags and captions of several pictures need a chat model: ${able.join(", ")}.`
    : "Flags and captions of several pictures need a chat model; this server has none.";
}
