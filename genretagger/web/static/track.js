// One track: its sound in pictures, its genres while it plays, why it has its genre, and what sounds like it.

import { cover } from "./albums.js";
import { chip, colour, complain, fill, get, h, icon, length, post, save, tell, when } from "./dom.js";
import { player, playlist } from "./player.js";
import { Timeline, waiting } from "./timeline.js";
import { Chooser } from "./chooser.js";

export async function open(place, { rest, state, current }) {
  const number = Number(rest[0]);
  let facts = await get(`/api/track/${number}`);
  let timeline = null;
  const head = h("div", { class: "headline" });
  const sound = h("section", { class: "card wide-card", "aria-label": "Sound" });
  const why = h("section", { class: "card" });
  const near = h("section", { class: "card" }, h("h2", {}, "Sounds like"), h("p", { class: "calm" }, "Looking …"));
  const album = h("section", { class: "card" });
  const past = h("section", { class: "card" });
  fill(place, head, sound, h("div", { class: "two" }, why, near), h("div", { class: "two" }, album, past));

  function row() {
    return facts.row ?? { id: number, title: facts.path.split("/").pop(), artist: "", duration_s: facts.duration_s };
  }

  function show() {
    const each = row();
    fill(head,
      cover(number, 120),
      h("div", {},
        h("h1", {}, each.title),
        h("p", { class: "calm" }, each.artist ? h("a", { href: `#/library?artist=${encodeURIComponent(each.artist)}` }, each.artist) : "unknown artist",
          each.album ? [", ", h("a", { href: `#/library?album=${encodeURIComponent(each.album)}` }, each.album)] : null,
          each.year ? ` (${each.year})` : null),
        h("p", { class: "genres" }, chip(facts.state), facts.genres.length ? facts.genres.map((name) => h("span", { class: "genre" }, name)) : h("span", { class: "calm" }, "no genre in the file")),
        h("p", { class: "buttons" },
          h("button", { class: "main", onclick: () => (player.track?.id === number ? player.toggle() : player.load(each, { start: true })) }, "Play or pause"),
          state.read_only ? null : h("button", { onclick: (event) => edit(event.target) }, "Change the genre"))));
    showWhy(why, facts);
    showAlbum(album, facts, number);
    showPast(past, facts, state, undo);
  }

  function edit(button) {
    const chooser = new Chooser(facts, async (genres) => {
      const answer = await post("/api/choose", { track: number, payload_hash: facts.payload_hash, before: facts.exact, genres });
      tell(answer.ok ? `${answer.genres.join(", ") || "No genre"}: ${answer.why}` : answer.why, { bad: !answer.ok });
      await again();
    }, () => show());
    button.closest(".buttons").replaceWith(chooser.element);
    chooser.focus();
  }

  async function undo() {
    try {
      const answer = await post("/api/undo", { track: number });
      tell(answer.ok ? `Undone: ${answer.genres.join(", ") || "no genre"}` : answer.why, { bad: !answer.ok });
      await again();
    } catch (error) {
      complain(error);
    }
  }

  async function again() {
    facts = await get(`/api/track/${number}`);
    if (current()) show();
  }

  show();
  fill(sound, waiting());
  if (facts.there && !facts.failure) {
    get(`/api/track/${number}/timeline`).then((data) => {
      if (!current()) return;
      timeline = new Timeline(data, row());
      fill(sound, timeline.element);
    }).catch((error) => current() && fill(sound, h("p", { class: "calm" }, `It cannot be listened to: ${error.message}`)));
  } else {
    fill(sound, h("p", { class: "calm" }, facts.failure || "The file is not there now."));
  }
  get(`/api/track/${number}/similar`).then((rows) => showNear(near, rows, row())).catch(complain);
  if (player.track?.id !== number && !player.playing) player.load(row());
  return {
    tracks: (numbers) => { if (numbers.includes(number)) again().catch(complain); },
    close: () => timeline?.close(),
  };
}

function showWhy(place, facts) {
  const scores = facts.decided?.scores ?? [];
  fill(place,
    h("h2", {}, "Why this genre"),
    h("p", {}, `${facts.why}.`),
    facts.refusal ? h("p", { class: "warn" }, `It cannot be written: ${facts.refusal}`) : null,
    scores.length ? h("ul", { class: "barlist" }, scores.slice(0, 8).map(([name, score], number) => h("li", {},
      h("span", { class: "name" }, name),
      h("span", { class: "bar", "aria-hidden": "true" }, h("span", { style: { width: `${score * 100}%`, background: colour(number) } })),
      h("span", { class: "figure" }, score.toFixed(2))))) : null,
    h("p", { class: "calm path" }, facts.path),
    h("p", { class: "calm" }, [facts.kind, length(facts.duration_s), facts.form, facts.decided ? `heard by ${facts.decided.model}` : ""].filter(Boolean).join(", ")));
}

function showNear(place, rows, own) {
  fill(place, h("h2", {}, "Sounds like"), rows.length
    ? [h("ol", { class: "tracks" }, rows.map((row) => trackItem(row, `${Math.round(row.alike * 100)} %`))),
      h("p", { class: "buttons" },
        h("button", { onclick: () => player.play(rows) }, "Play these"),
        h("button", { onclick: () => playlist([own, ...rows], "sounds-like.m3u8", post, save).catch(complain) }, "Playlist"))]
    : h("p", { class: "calm" }, "Nothing to compare it with yet."));
}

export function trackItem(row, note, extra = null) {
  return h("li", {},
    h("button", { class: "quiet play", "aria-label": `Play ${row.title}`, onclick: () => player.load(row, { start: true }) }, icon("play")),
    h("a", { href: `#/track/${row.id}` }, h("strong", {}, row.title), row.artist ? h("span", { class: "calm" }, ` ${row.artist}`) : null),
    h("span", { class: "calm small" }, row.genres.join(", ")), extra, h("span", { class: "figure" }, note));
}

function showAlbum(place, facts, number) {
  place.hidden = !facts.album;
  if (!facts.album) return;
  fill(place, h("h2", {}, facts.album.album), h("ol", { class: "tracks" }, facts.album.tracks.slice(0, 60).map((row) => {
    const item = trackItem(row, length(row.duration_s), row.odd ? h("span", { class: "chip unsure", title: row.odd }, "unlike the others") : null);
    if (row.id === number) item.setAttribute("aria-current", "true");
    return item;
  })));
}

function showPast(place, facts, state, undo) {
  const standing = facts.writes.find((each) => each.state === "done" && each.kind !== "undo");
  fill(place, h("h2", {}, "History"), facts.writes.length
    ? h("ul", { class: "plain" }, facts.writes.map((each) => h("li", {},
      h("strong", {}, `${each.before.join(", ") || "nothing"} → ${each.after.join(", ") || "nothing"}`),
      h("span", { class: "calm" }, ` ${when(each.at)}, run ${each.run}, ${each.state === "done" ? "" : `${each.state}, `}${each.why}`))))
    : h("p", { class: "calm" }, "Nothing was written to this file."),
  standing && !state.read_only ? h("p", { class: "buttons" }, h("button", { onclick: undo }, "Undo the last write")) : null);
}
