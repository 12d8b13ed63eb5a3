// One player for all views: a queue of tracks, and whoever wants to know where in a track we are.

import { count, h, fill, icon, length, tell } from "./dom.js";

const audio = new Audio();
audio.preload = "metadata";
audio.id = "audio";

let queue = [];
let place = -1;
let wanted = null;
let asked = false; // whether anybody wants to hear it: a file that is gone is no news before that
const listeners = new Set();

export const player = {
  audio,
  get track() {
    return queue[place] ?? null;
  },
  get time() {
    return audio.currentTime;
  },
  get playing() {
    return !audio.paused && !audio.ended;
  },
  onChange(listener) {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },
  load(row, { start = false, at = 0 } = {}) {
    if (this.track?.id !== row.id) {
      queue = [row];
      place = 0;
      open(at);
    }
    if (start) begin();
  },
  play(rows, first = 0) {
    queue = rows;
    place = first;
    open(0);
    begin();
  },
  toggle() {
    if (!this.track) return;
    if (audio.paused) begin();
    else audio.pause();
  },
  stop() {
    audio.pause();
  },
  seek(seconds) {
    if (!this.track) return;
    const at = Math.max(0, Math.min(seconds, (audio.duration || seconds) - 0.05));
    if (audio.readyState === 0) wanted = at;
    else audio.currentTime = at;
    tellAll();
  },
  step(by) {
    if (queue[place + by]) {
      place += by;
      open(0);
      begin();
    }
  },
};

function begin() {
  asked = true;
  if (audio.error) lament();
  audio.play().catch(() => {});
}

function lament() {
  tell(`“${player.track.title || player.track.name}” cannot be played: is the file there?`, { bad: true });
}

function open(at) {
  wanted = at || null;
  asked = false;
  audio.src = `/audio/${queue[place].id}`;
  show();
  tellAll();
}

function tellAll() {
  for (const listener of listeners) listener();
}

const bar = document.getElementById("player");
const button = h("button", { class: "round", "aria-label": "Play", title: "Play (Space)", onclick: () => player.toggle() });
const before = h("button", { class: "quiet", "aria-label": "Previous track", onclick: () => player.step(-1) }, icon("before"));
const after = h("button", { class: "quiet", "aria-label": "Next track", onclick: () => player.step(1) }, icon("after"));
const title = h("a", { class: "what", href: "#/" });
const clock = h("span", { class: "clock" }, "0:00");
const range = h("input", {
  type: "range", min: "0", max: "1", step: "0.1", value: "0", "aria-label": "Place in the track",
  oninput: () => player.seek(Number(range.value)),
});

function show() {
  const row = player.track;
  document.body.classList.toggle("plays", Boolean(row));
  if (!row) return;
  if (!bar.childElementCount) fill(bar, before, button, after, title, range, clock);
  fill(title, h("strong", {}, row.title || row.name), row.artist ? ` ${row.artist}` : "");
  title.setAttribute("href", `#/track/${row.id}`);
  before.disabled = !queue[place - 1];
  after.disabled = !queue[place + 1];
}

function showState() {
  fill(button, icon(audio.paused ? "play" : "pause"));
  button.setAttribute("aria-label", audio.paused ? "Play" : "Pause");
}

function showTime() {
  const total = Number.isFinite(audio.duration) ? audio.duration : (player.track?.duration_s ?? 0);
  range.max = String(Math.max(1, total));
  range.value = String(audio.currentTime);
  range.setAttribute("aria-valuetext", `${length(audio.currentTime)} of ${length(total)}`);
  clock.textContent = `${length(audio.currentTime)} / ${length(total)}`;
}

for (const name of ["play", "pause", "seeked", "loadedmetadata", "ended"]) {
  audio.addEventListener(name, () => {
    if (name === "loadedmetadata" && wanted !== null) {
      audio.currentTime = wanted;
      wanted = null;
    }
    if (name === "ended") player.step(1);
    showState();
    showTime();
    tellAll();
  });
}
audio.addEventListener("timeupdate", showTime);
audio.addEventListener("error", () => {
  if (audio.error && player.track && asked) lament();
});
showState();

export async function playlist(rows, name, post, save) {
  const answer = await post("/api/playlist", { tracks: rows.map((each) => each.id) }, { raw: true });
  save(name, await answer.blob());
  tell(`${count(rows.length)} tracks in ${name}`);
}
