// What needs an ear: one track after the other, with the keyboard alone.

import { chip, complain, count, fill, get, h, length, post, tell } from "./dom.js";
import { player } from "./player.js";
import { Chooser } from "./chooser.js";
import { Timeline, waiting } from "./timeline.js";

const LISTS = {
  unsure: ["Unsure", "The model is not sure enough of any genre. Those nearest to being sure come first."],
  outlier: ["Unlike its album", "On an album by one artist, these sound much less like the others than the others sound like each other."],
  mislabelled: ["Mislabelled?", "Your genre has a low score, and another one has a high score."],
  lesson: ["Worth teaching", "The model is undecided (best score near 0.5), many tracks sound like these, and none with a genre of yours does. At most two by one artist."],
};
const OFFER_AFTER = 5;

export async function open(place, { rest, state, current }) {
  const why = rest[0] in LISTS ? rest[0] : "unsure";
  let rows = [];
  let at = 0;
  let facts = null;
  let timeline = null;
  let chooser = null;
  let done = [];
  let total = 0;

  const tabs = h("nav", { class: "tabs", "aria-label": "Lists" });
  const list = h("ol", { class: "tracks queue-list", "aria-label": "Tracks of this list" });
  const work = h("section", { class: "card desk", "aria-label": "This track" });
  const school = h("section", { class: "card school", "aria-label": "Training" });
  fill(place, h("h1", {}, "Needs an ear"), tabs, h("p", { class: "calm" }, LISTS[why][1]),
    h("div", { class: "ear-grid" }, h("div", {}, work, school), h("section", { class: "card" }, h("h2", {}, LISTS[why][0]), list)));

  async function load() {
    const found = await get(`/api/needs/${why}`, { count: 100 });
    rows = found.rows;
    total = found.total;
    fill(tabs, Object.entries(LISTS).map(([name, [word]]) => h("a", { href: `#/ear/${name}`, "aria-current": name === why ? "page" : null }, `${word} (${count(found.counts[name])})`)));
    at = Math.max(0, Math.min(at, rows.length - 1));
    showList();
    await showTrack();
  }

  function showList() {
    fill(list, rows.length ? rows.slice(0, 100).map((row, number) => h("li", { "aria-current": number === at ? "true" : null, class: done.includes(row.id) ? "done" : "" },
      h("button", { class: "row-button", onclick: () => go(number) }, h("strong", {}, row.title), h("span", { class: "calm" }, ` ${row.artist}`), h("span", { class: "says" }, row.says)))) : h("li", {}, "Nothing is left in this list."));
    list.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
    if (total > rows.length) list.append(h("li", { class: "calm" }, `and ${count(total - rows.length)} more`));
  }

  async function showTrack() {
    timeline?.close();
    timeline = null;
    chooser = null;
    const row = rows[at];
    if (!row) {
      fill(work, h("p", {}, "Nothing needs an ear here."));
      return;
    }
    facts = await get(`/api/track/${row.id}`);
    if (!current() || rows[at] !== row) return;
    const sound = waiting();
    const suggested = proposal();
    fill(work,
      h("h2", {}, h("a", { href: `#/track/${row.id}` }, row.title)),
      h("p", { class: "calm" }, [row.artist, row.album].filter(Boolean).join(", "), " ", length(row.duration_s)),
      h("p", {}, `${row.says}.`),
      h("p", { class: "genres" }, chip(facts.state), facts.genres.length ? facts.genres.map((name) => h("span", { class: "genre" }, name)) : h("span", { class: "calm" }, "no genre in the file")),
      h("div", { class: "keys" },
        key("Space", "Play or pause", playPause),
        key("N", "Next 30 seconds", skip),
        state.read_only ? null : key("A", suggested.length ? `Accept ${suggested.join(", ")}` : "Accept", accept, !suggested.length),
        state.read_only ? null : key("G", "Choose a genre", choose),
        key("L", "Leave it", leave),
        key("K", "Back", back, at === 0),
        state.read_only ? null : key("U", "Undo", undo, !done.length)),
      h("div", { id: "chooser-place" }),
      sound);
    if (facts.there) {
      player.load(row);
      get(`/api/track/${row.id}/timeline`).then((data) => {
        if (!current() || rows[at] !== row) return;
        timeline = new Timeline(data, row);
        sound.replaceWith(timeline.element);
      }).catch((error) => sound.replaceWith(h("p", { class: "calm" }, `It cannot be listened to: ${error.message}`)));
    } else sound.replaceWith(h("p", { class: "calm" }, "The file is not there now, so it cannot be heard."));
  }

  function proposal() {
    if (why === "mislabelled" || why === "unsure" || !facts.genres.length) {
      const decided = facts.decided?.genres ?? [];
      if (decided.length) return decided;
      const best = facts.decided?.scores?.[0];
      return best ? [best[0]] : [];
    }
    return facts.exact;
  }

  function key(letter, words, act, off = false) {
    return h("button", { onclick: () => act(), disabled: off, "aria-keyshortcuts": letter }, h("kbd", { "aria-hidden": "true" }, letter), ` ${words}`);
  }

  function playPause() {
    player.load(rows[at]);
    player.toggle();
  }

  function skip() {
    player.load(rows[at]);
    player.seek(player.time + 30);
    if (!player.playing) player.toggle();
  }

  async function go(number) {
    if (!rows.length) return;
    const plays = player.playing;
    at = Math.max(0, Math.min(number, rows.length - 1));
    showList();
    await showTrack();
    if (plays && rows[at]) player.load(rows[at], { start: true });
  }

  function leave() {
    if (at + 1 < rows.length) go(at + 1).catch(complain);
    else tell("That was the last one of these.");
  }

  function back() {
    go(at - 1).catch(complain);
  }

  async function decide(genres) {
    const row = rows[at];
    const answer = await post("/api/choose", { track: row.id, payload_hash: facts.payload_hash, before: facts.exact, genres });
    tell(answer.ok ? `${row.title}: ${answer.genres.join(", ") || "no genre"}` : `${row.title}: ${answer.why}`, { bad: !answer.ok });
    if (answer.ok) {
      done = [...done.filter((each) => each !== row.id), row.id];
      await lessons();
      if (at + 1 < rows.length) await go(at + 1);
      else await load();
    }
  }

  function accept() {
    const genres = proposal();
    if (genres.length) decide(genres).catch(complain);
  }

  function choose() {
    const holder = document.getElementById("chooser-place");
    if (chooser || !holder) return;
    chooser = new Chooser(facts, (genres) => decide(genres), () => { chooser = null; holder.replaceChildren(); work.focus(); });
    fill(holder, chooser.element);
    chooser.focus();
  }

  async function undo() {
    const last = done.pop();
    if (last === undefined) return;
    try {
      const answer = await post("/api/undo", { track: last });
      tell(answer.ok ? `Undone: ${answer.genres.join(", ") || "no genre"}` : answer.why, { bad: !answer.ok });
    } catch (error) {
      complain(error);
    }
    const where = rows.findIndex((row) => row.id === last);
    if (where >= 0) await go(where);
  }

  async function lessons() {
    if (!state.read_only) showSchool(await get("/api/teaching"));
    else school.hidden = true;
  }

  function showSchool(now) {
    const name = now.updates || "mine";
    const ready = now.updates || now.own >= now.least;
    const words = now.corrections ? `${count(now.corrections)} ${now.corrections === 1 ? "correction" : "corrections"} since the last training.` : "";
    fill(school, h("h2", {}, "Training"));
    if (now.running) {
      school.append(h("p", { role: "status" }, `${name}: ${now.what ?? ""} ${now.done ?? 0}${now.of ? ` of ${now.of}` : ""}`),
        h("progress", { max: now.of || 1, value: now.of ? now.done : null, "aria-label": "Training" }),
        h("p", { class: "buttons" }, h("button", { onclick: () => post("/api/teach", { stop: true }).catch(complain) }, "Stop")));
      return;
    }
    if (now.failed) school.append(h("p", { class: "warn" }, now.failed));
    if (now.result) showResult(school, now.result);
    school.append(h("p", {}, words, " ", ready ? "" : `It takes at least ${now.least} tracks of yours; there are ${count(now.own)}.`,
      !now.updates && ready ? `${count(now.own)} tracks have genres that you chose.` : ""));
    const offer = now.corrections >= OFFER_AFTER;
    school.append(h("p", { class: "buttons" }, h("button", { class: offer ? "main" : "", disabled: !ready, onclick: teach },
      now.updates ? `Learn again (train --update ${now.updates})` : "Learn from my genres")));
  }

  function showResult(holder, result) {
    const order = [...result.changes].sort((a, b) => (b.f1 - b.f1_before) - (a.f1 - a.f1_before));
    holder.append(h("p", {}, `${result.model} learned ${result.genres.length} genres from ${count(result.tracks)} tracks.`));
    if (order.length) {
      holder.append(h("table", {}, h("thead", {}, h("tr", {}, ["Genre", "before", "now", ""].map((each) => (each ? h("th", { scope: "col" }, each) : h("td", {}))))),
        h("tbody", {}, order.map((each) => h("tr", {}, h("th", { scope: "row" }, each.genre), h("td", {}, each.f1_before.toFixed(2)), h("td", {}, each.f1.toFixed(2)),
          h("td", {}, Math.abs(each.f1 - each.f1_before) < 0.005 ? "as before" : each.f1 > each.f1_before ? "better" : "worse"))))));
    }
    for (const text of result.warnings) holder.append(h("p", { class: "calm" }, text));
    holder.append(h("p", { class: "buttons" }, h("button", { class: "main", onclick: () => post("/api/use", { model: result.model })
      .then(() => tell(`${result.model} is now the default model`)).catch(complain) }, `Use ${result.model} from now on`)));
  }

  async function teach() {
    try {
      await post("/api/teach", {});
    } catch (error) {
      complain(error);
    }
  }

  const keys = { " ": playPause, n: skip, a: accept, g: choose, l: leave, k: back, u: undo };
  await load();
  lessons().catch(complain);
  return {
    key(event) {
      const onControl = event.target.closest?.("button, a, [role=slider], summary");
      if (event.key === " " && onControl) return false;
      if (chooser && /^[1-9]$/.test(event.key) && chooser.heard[Number(event.key) - 1]) {
        chooser.toggle(chooser.heard[Number(event.key) - 1]);
        return true;
      }
      const act = keys[event.key.toLowerCase()];
      if (!act || !rows.length || (state.read_only && "agu".includes(event.key.toLowerCase()))) return false;
      Promise.resolve(act()).catch(complain);
      return true;
    },
    teaching: () => lessons().catch(complain),
    tracks: (numbers) => {
      if (facts && numbers.includes(facts.id)) get(`/api/track/${facts.id}`).then((now) => { facts = now; }).catch(complain);
    },
    close: () => timeline?.close(),
  };
}
