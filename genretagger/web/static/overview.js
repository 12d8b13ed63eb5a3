// The first view: how the library stands, its genres, and what was done last.

import { STATES, chip, colour, complain, count, fill, get, h, post, svg, tell, when } from "./dom.js";

export async function open(place, { state }) {
  const tiles = h("div", { class: "tiles" });
  const bars = h("div", { class: "bars" });
  const years = h("div", { class: "years" });
  const runs = h("div", {});
  const work = h("div", { class: "work" });
  const needs = h("div", { class: "needs" });
  fill(
    place,
    h("h1", {}, "Overview"),
    tiles,
    h("div", { class: "two" },
      h("section", { class: "card" }, h("h2", {}, "Genres"), bars),
      h("section", { class: "card" }, h("h2", {}, "Over the years"), years)),
    h("div", { class: "two" },
      h("section", { class: "card" }, h("h2", {}, "Needs an ear"), needs),
      h("section", { class: "card" }, h("h2", {}, "The service"), work)),
    h("section", { class: "card" }, h("h2", {}, "What was written last"), runs),
  );
  let closed = false;

  async function load() {
    const facts = await get("/api/overview");
    if (closed) return;
    showTiles(tiles, facts);
    showBars(bars, facts);
    showYears(years, facts);
    showNeeds(needs, facts.needs);
    showRuns(runs, facts.runs, state, load);
  }
  await load();
  showWork(work, state.service);
  return {
    changed: () => load().catch(complain),
    tracks: () => load().catch(complain),
    service: (facts) => showWork(work, facts),
    close: () => { closed = true; },
  };
}

function showTiles(place, facts) {
  fill(
    place,
    h("a", { class: "tile all", href: "#/library" }, h("strong", {}, count(facts.tracks)), h("span", {}, "tracks")),
    Object.entries(STATES).map(([name, [mark, word, says]]) =>
      h("a", { class: `tile ${name}`, href: `#/library?state=${name}`, title: says },
        h("strong", {}, count(facts.states[name])),
        h("span", {}, h("span", { "aria-hidden": "true" }, `${mark} `), word))),
  );
}

function showBars(place, facts) {
  if (!facts.genres.length) {
    fill(place, h("p", { class: "calm" }, "No genre is known yet. ", h("code", {}, "genretagger tag --dry-run PATH"), " listens, and writes nothing."));
    return;
  }
  const most = facts.genres[0].count;
  fill(place, h("ul", { class: "barlist" }, facts.genres.slice(0, 14).map((each, number) =>
    h("li", {}, h("a", { href: `#/library?genre=${encodeURIComponent(each.name)}` },
      h("span", { class: "name" }, each.name),
      h("span", { class: "bar", "aria-hidden": "true" },
        h("span", { style: { width: `${(100 * each.count) / most}%`, background: number < 8 ? colour(number) : "var(--genre-8)" } })),
      h("span", { class: "figure" }, count(each.count)))))));
}

function showYears(place, facts) {
  if (!facts.years.length) {
    const left = facts.tracks - facts.looked;
    fill(place, h("p", { class: "calm" }, left ? `Reading the years from the files: ${count(left)} to go.` : "No file says its year."));
    return;
  }
  const first = facts.years[0].year;
  const last = facts.years[facts.years.length - 1].year;
  const step = last - first > 45 ? 5 : 1;
  const sums = new Map();
  for (const each of facts.years) {
    const slot = Math.floor(each.year / step) * step;
    const sum = sums.get(slot) ?? Array(facts.leading.length + 1).fill(0);
    [...each.counts, each.others].forEach((value, number) => { sum[number] += value; });
    sums.set(slot, sum);
  }
  const from = Math.floor(first / step) * step;
  const slots = Math.floor((last - from) / step) + 1;
  const most = Math.max(...[...sums.values()].map((each) => each.reduce((a, b) => a + b, 0)));
  const width = 600;
  const high = 200;
  const wide = width / slots;
  const parts = [];
  for (const [slot, values] of sums) {
    const x = ((slot - from) / step) * wide;
    let y = high;
    values.forEach((value, number) => {
      if (!value) return;
      const tall = (high * value) / most;
      y -= tall;
      const name = facts.leading[number] ?? "others";
      parts.push(svg("rect", { x: x + wide * 0.08, y, width: wide * 0.84, height: tall, fill: colour(number) },
        Object.assign(svg("title"), { textContent: `${slot}${step > 1 ? `–${slot + step - 1}` : ""}: ${name} ${count(value)}` })));
    });
  }
  const top = facts.leading[0];
  fill(
    place,
    svg("svg", { viewBox: `0 0 ${width} ${high}`, preserveAspectRatio: "none", role: "img", "aria-label": `Tracks by year, ${first} to ${last}; most are ${top}`, class: "chart" }, parts),
    h("div", { class: "axis", "aria-hidden": "true" }, h("span", {}, from), h("span", {}, Math.round((from + last) / 2)), h("span", {}, last)),
    h("ul", { class: "legend" }, [...facts.leading, "others"].map((name, number) =>
      h("li", {}, h("span", { class: "dot", style: { background: colour(number) }, "aria-hidden": "true" }), name))),
  );
}

const LISTS = [
  ["unsure", "not sure enough"],
  ["outlier", "unlike their album"],
  ["mislabelled", "perhaps mislabelled"],
  ["lesson", "worth teaching"],
];

function showNeeds(place, needs) {
  fill(place, h("ul", { class: "plain" }, LISTS.map(([why, words]) =>
    h("li", {}, h("a", { href: `#/ear/${why}` }, h("strong", {}, count(needs[why] ?? 0)), words)))));
}

function showWork(place, facts) {
  if (!facts || !facts.running) {
    fill(place, h("p", { class: "calm" }, facts ? "It is not running. " : "Asking … ", facts ? h("code", {}, "genretagger watch DIR") : null, facts ? " starts it." : ""));
    return;
  }
  const queue = facts.queue ?? {};
  fill(
    place,
    h("p", {}, facts.healthy ? "The service is healthy." : "The service is not healthy.", facts.database ? ` ${facts.database}.` : "", ` ${facts.per_minute} files a minute.`),
    h("dl", { class: "queue" }, [["new", "new"], ["backlog", "backlog"], ["working", "being done"], ["quarantined", "quarantined"]].map(([name, word]) =>
      h("div", {}, h("dt", {}, word), h("dd", {}, count(queue[name] ?? 0))))),
    facts.busy.length ? h("ul", { class: "busy" }, facts.busy.slice(0, 4).map((path) => h("li", {}, path))) : null,
    facts.paused.length ? h("p", { class: "warn" }, `Paused: ${facts.paused[0]}`) : null,
    facts.roots.map((root) => h("p", { class: "calm path" }, `${root.path}, ${count(root.files)} files${root.looking ? ", looking" : ""}`)),
  );
}

function showRuns(place, runs, state, again) {
  if (!runs.length) {
    fill(place, h("p", { class: "calm" }, "Nothing was written yet."));
    return;
  }
  fill(place, h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Runs" }, h("table", { class: "runs" },
    h("thead", {}, h("tr", {}, ["Run", "Command", "When", "Writes", "Undone", ""].map((name) => (name ? h("th", { scope: "col" }, name) : h("td", {}))))),
    h("tbody", {}, runs.map((run) => h("tr", {},
      h("td", {}, run.id),
      h("td", {}, run.command === "serve" ? "this page" : run.command),
      h("td", {}, when(run.started_at)),
      h("td", {}, count(run.done)),
      h("td", {}, run.undone ? count(run.undone) : "–"),
      h("td", {}, run.can_undo && !state.read_only
        ? h("button", { onclick: (event) => undo(event.target, run, again), "aria-label": `Undo run ${run.id}` }, "Undo")
        : null)))))));
}

async function undo(button, run, again) {
  const sure = button.dataset.sure;
  if (!sure) {
    button.dataset.sure = "yes";
    button.textContent = `Take back ${count(run.done)}?`;
    setTimeout(() => { delete button.dataset.sure; button.textContent = "Undo"; }, 5000);
    return;
  }
  button.disabled = true;
  try {
    const facts = await post("/api/undo", { run: run.id });
    tell(`${count(facts.undone)} undone, ${count(facts.skipped)} skipped, ${count(facts.failed)} failed`, { bad: facts.failed > 0 });
    await again();
  } catch (error) {
    complain(error);
    button.disabled = false;
  }
}

export { chip };
