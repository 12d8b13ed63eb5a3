// Which view is shown, what all views hear from the server, and the keys that work everywhere.

import { complain, count, fill, get, h, post, tell } from "./dom.js";
import { player } from "./player.js";

const VIEWS = {
  "": () => import("./overview.js"),
  library: () => import("./library.js"),
  albums: () => import("./albums.js"),
  track: () => import("./track.js"),
  ear: () => import("./ear.js"),
  map: () => import("./map.js"),
};

const content = document.getElementById("content");
export const state = await get("/api/state").catch(() => ({ read_only: false, password: false }));
let shown = null;
let turn = 0;

document.body.classList.toggle("read-only", state.read_only);
const leave = document.getElementById("leave");
leave.hidden = !state.password;
leave.addEventListener("click", async () => {
  await post("/api/logout", {}).catch(() => {});
  location.assign("/login");
});
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  content.focus();
});

async function route({ focus = true } = {}) {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, ...rest] = path.split("/");
  const load = VIEWS[name] ?? VIEWS[""];
  turn += 1;
  const mine = turn;
  for (const link of document.querySelectorAll("#views a")) {
    const here = link.getAttribute("href") === `#/${name}` || (name === "track" && link.getAttribute("href") === "#/library");
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  try {
    const view = await load();
    if (mine !== turn) return;
    shown?.close?.();
    const place = h("div", { class: `view ${name || "overview"}` });
    shown = await view.open(place, { rest, query: new URLSearchParams(query ?? ""), state, current: () => mine === turn });
    if (mine !== turn) {
      shown?.close?.();
      return;
    }
    fill(content, place);
    shown?.shown?.();
    const heading = place.querySelector("h1");
    document.title = heading ? `${heading.textContent} – genretagger` : "genretagger";
    if (focus) {
      content.focus({ preventScroll: true });
      window.scrollTo(0, 0);
    }
  } catch (error) {
    if (mine === turn) {
      fill(content, h("div", { class: "view" }, h("h1", {}, "That did not work"), h("p", {}, error.message)));
    }
  }
}

window.addEventListener("hashchange", () => route());

// Only a page that is looked at hears events: browsers open six connections to a server, and no more.
let events = null;
let lastChange = 0;

function hear() {
  if (document.visibilityState !== "visible") {
    events?.close();
    events = null;
    return;
  }
  if (events) return;
  events = new EventSource("/api/events");
  const on = (kind, work) => events.addEventListener(kind, (event) => work(JSON.parse(event.data)));
  on("service", showService);
  on("progress", showProgress);
  on("notice", (text) => tell(text));
  on("teaching", (facts) => shown?.teaching?.(facts));
  on("tracks", (numbers) => shown?.tracks?.(numbers));
  on("changed", () => {
    lastChange += 1;
    const mine = lastChange;
    setTimeout(() => mine === lastChange && shown?.changed?.(), 700);
  });
}
document.addEventListener("visibilitychange", () => {
  const again = document.visibilityState === "visible" && !events;
  hear();
  if (again) shown?.changed?.();
});

const service = document.getElementById("service");

function showService(facts) {
  state.service = facts;
  const queue = facts.queue ?? {};
  const waiting = (queue.new ?? 0) + (queue.backlog ?? 0) + (queue.working ?? 0);
  const words = !facts.running ? "service off" : !facts.healthy ? "service: not healthy" : waiting ? `${count(waiting)} waiting` : "service: idle";
  service.textContent = words;
  service.className = `service ${!facts.running ? "off" : facts.healthy ? (waiting ? "works" : "well") : "ill"}`;
  shown?.service?.(facts);
}

const progress = document.getElementById("progress");

function showProgress({ what, done, of }) {
  progress.hidden = !what || done === of;
  progress.textContent = what ? `${what}: ${count(done)}${of ? ` of ${count(of)}` : ""}` : "";
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.closest?.("input:not([type=range]), select, textarea, [contenteditable]");
  if (typing) return;
  if (shown?.key?.(event)) {
    event.preventDefault();
    return;
  }
  const onControl = event.target.closest?.("button, a, [role=grid], [role=slider], summary");
  if (event.key === " " && !onControl && player.track) {
    event.preventDefault();
    player.toggle();
  } else if (event.key === "/") {
    event.preventDefault();
    const search = document.querySelector("main input[type=search]");
    if (search) search.focus();
    else location.hash = "#/library";
  }
});

window.addEventListener("unhandledrejection", (event) => complain(event.reason));
hear();
await route({ focus: false });
