"use strict";

const element = (id) => document.getElementById(id);

/** The language of the address, or else of the browser. */
function language() {
  const said = location.hash.slice(1);
  return Object.hasOwn(WORDS, said) ? said : navigator.language.toLowerCase().startsWith("es") ? "es" : "en";
}

/** The form in which numbers and times are written. */
const locale = () => ({ en: "en-GB", es: "es-AR" })[language()];

function made(tag, text) {
  const one = document.createElement(tag);
  one.textContent = text;
  return one;
}

/** Changes a text only if it is another, so that a selection stays and screen readers are left in peace. */
function say(where, text) {
  const target = typeof where === "string" ? element(where) : where;
  if (target.textContent !== text) target.textContent = text;
}

/** Says a text and shows its place, or hides it if there is none. */
function sayIf(id, text) {
  say(id, text ?? "");
  element(id).hidden = text === null;
}

function mark(one, name, value) {
  if (value === null) one.removeAttribute(name); else one.setAttribute(name, value);
}

/** Says in the chosen language what is always there. */
function sayAlways(words) {
  document.documentElement.lang = language();
  for (const one of document.querySelectorAll("[data-word]")) say(one, words[one.dataset.word]);
  element("languages").setAttribute("aria-label", words.languages);
  for (const link of element("languages").children) mark(link, "aria-current", link.lang === language() ? "true" : null);
}

