// Times, durations and sizes as people read them.

import { language } from "./i18n.js";

const formats = new Map();

function format(kind, options) {
  const key = `${language()} ${kind}`;
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat(language(), options));
  return formats.get(key);
}

const CLOCK = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };

/** Returns a local time of day with milliseconds; `at` is epoch ms. */
export function clock(at) {
  return `${format("clock", CLOCK).format(at)}.${String(Math.floor(at % 1000)).padStart(3, "0")}`;
}

/** Returns a local time of day without milliseconds. */
export function shortClock(at) {
  return format("clock", CLOCK).format(at);
}

/** Returns a local date and time. */
export function moment(at) {
  return format("moment", { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" }).format(at);
}

/** Returns a time in UTC, to be shown on hover. */
export function utc(at) {
  const date = new Date(at);
  return Number.isNaN(date.getTime()) ? String(at) : `${date.toISOString().replace("T", " ").replace("Z", "")} UTC`;
}

/** Returns a duration in the unit that a person would choose; `ms` is in milliseconds. */
export function duration(ms) {
  if (ms === null || ms === undefined || Number.isNaN(ms)) return "–";
  if (ms < 0) return `−${duration(-ms)}`;
  if (ms === 0) return "0 ms";
  if (ms < 1) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** Returns an integer with the language's separators. */
export function integer(value) {
  return new Intl.NumberFormat(language()).format(value);
}

/** Returns a number with at most two decimals. */
export function decimal(value) {
  return new Intl.NumberFormat(language(), { maximumFractionDigits: 2 }).format(value);
}

/** Returns JSON with line breaks, or the text as it is. */
export function pretty(content) {
  if (content === null || content === undefined) return "";
  try {
    return JSON.stringify(JSON.parse(content), null, 2);
  } catch {
    return String(content);
  }
}

const SECONDS = [1e9, 4.1e9];
const MILLISECONDS = [1e12, 4.1e12];

/** Returns a number that is a time of this century in epoch ms, or null. */
export function timeOf(value) {
  if (typeof value !== "number") return null;
  if (value >= SECONDS[0] && value < SECONDS[1]) return value * 1000;
  return value >= MILLISECONDS[0] && value < MILLISECONDS[1] ? value : null;
}
