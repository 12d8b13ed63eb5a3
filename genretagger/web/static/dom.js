// Elements, requests and words that all views share. Texts become text nodes, never markup.

export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, each] of Object.entries(value)) element.style.setProperty(key, each);
    else if (name === "class") element.className = value;
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  put(element, ...children);
  return element;
}

export function put(element, ...children) {
  for (const child of children.flat()) {
    if (child !== null && child !== undefined && child !== false) {
      element.append(child instanceof Node ? child : String(child));
    }
  }
  return element;
}

export function fill(element, ...children) {
  element.replaceChildren();
  return put(element, ...children);
}

export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  for (const child of children.flat()) if (child) element.append(child);
  return element;
}

const ICONS = {
  play: "M7 4l14 8-14 8z", pause: "M6 4h4v16H6zM14 4h4v16h-4z",
  before: "M19 4v16L8 12zM5 4h3v16H5z", after: "M5 4v16l11-8zM16 4h3v16h-3z",
};

export function icon(name) {
  return svg("svg", { viewBox: "0 0 24 24", width: 18, height: 18, "aria-hidden": "true", class: "icon" }, svg("path", { d: ICONS[name], fill: "currentColor" }));
}

export class Refused extends Error {}

async function answered(request) {
  let answer;
  try {
    answer = await request;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("the server does not answer");
  }
  if (answer.status === 401) {
    location.assign("/login");
    throw new Refused("the password is needed");
  }
  if (!answer.ok) {
    let fault = {};
    try {
      fault = await answer.json();
    } catch {
      // no JSON: the status has to do
    }
    const words = [fault?.error, fault?.hint].filter(Boolean).join(". ");
    throw new Refused(words || `the server answered ${answer.status}`);
  }
  return answer;
}

export async function get(path, parameters = {}, signal = undefined) {
  const asked = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== "" && value !== null && value !== undefined && value !== false) asked.set(name, value);
  }
  const query = asked.toString();
  return (await answered(fetch(query ? `${path}?${query}` : path, { signal }))).json();
}

export async function post(path, value, { raw = false } = {}) {
  const answer = await answered(
    fetch(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(value) }),
  );
  return raw ? answer : answer.json();
}

let hideAt;

export function tell(text, { bad = false } = {}) {
  const place = document.getElementById("notice");
  place.textContent = text;
  place.classList.toggle("bad", bad);
  place.classList.add("shown");
  clearTimeout(hideAt);
  hideAt = setTimeout(() => place.classList.remove("shown"), bad ? 9000 : 4500);
}

export function complain(error) {
  if (error.name !== "AbortError") tell(error.message, { bad: true });
}

export const COLOURS = 9;

export function colour(number) {
  return `var(--genre-${number % COLOURS})`;
}

export function paint(number) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--genre-${number % COLOURS}`).trim();
}

export function themed(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

export function count(number) {
  return number.toLocaleString("en");
}

export function length(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
  const whole = Math.max(0, Math.floor(seconds));
  const minutes = Math.floor(whole / 60);
  const rest = String(whole % 60).padStart(2, "0");
  if (minutes < 60) return `${minutes}:${rest}`;
  return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${rest}`;
}

export function when(moment) {
  return new Date(moment).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
}

export const STATES = {
  tagged: ["●", "tagged", "genretagger wrote the genre"],
  yours: ["◆", "yours", "you chose the genre"],
  unsure: ["?", "unsure", "no genre is sure enough"],
  untagged: ["○", "untagged", "the file has no genre"],
};

export function chip(state) {
  const [mark, word, says] = STATES[state] ?? ["", state, ""];
  return h("span", { class: `chip ${state}`, title: says }, h("span", { "aria-hidden": "true" }, mark), ` ${word}`);
}

export function save(name, blob) {
  const link = h("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

export function bytes(text) {
  const raw = atob(text);
  const found = new Uint8Array(raw.length);
  for (let each = 0; each < raw.length; each += 1) found[each] = raw.charCodeAt(each);
  return found;
}
