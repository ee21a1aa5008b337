// The page's language: the browser's, or the one that was chosen.

import { en } from "./texts.en.js";
import { ko } from "./texts.ko.js";

const TEXTS = { en, ko };
const KEPT = "console-language";

let chosen = stored() ?? (navigator.languages.some((each) => /^ko\b/i.test(each)) ? "ko" : "en");

function stored() {
  try {
    const kept = localStorage.getItem(KEPT);
    return kept in TEXTS ? kept : null;
  } catch {
    return null;
  }
}

/** Returns the language as a tag. */
export function language() {
  return chosen;
}

/** Chooses a language and remembers it. */
export function choose(tag) {
  chosen = tag;
  try {
    localStorage.setItem(KEPT, tag);
  } catch {
    // A browser may refuse to store anything.
  }
}

/** Returns a text by its name; `{n}` in it is replaced by `values.n`. */
export function t(name, values = {}) {
  const text = TEXTS[chosen][name] ?? TEXTS.en[name] ?? name;
  return text.replace(/\{(\w+)\}/g, (_, key) => String(values[key]));
}
