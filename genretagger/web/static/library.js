// All tracks in a grid. The browser holds the rows around those that are seen; the server sorts, filters and counts.

import { STATES, chip, complain, count, fill, get, h, length, post, save } from "./dom.js";
import { player, playlist } from "./player.js";

const BLOCK = 100;
const KEPT_BLOCKS = 30;
const COLUMNS = [
  ["title", "Title"], ["artist", "Artist"], ["album", "Album"], ["genre", "Genre"],
  ["score", "Score"], ["state", "State"], ["year", "Year"], ["", "Length"],
];

export async function open(place, { query }) {
  const wanted = {
    search: query.get("search") ?? "", genre: query.get("genre") ?? "", state: query.get("state") ?? "",
    artist: query.get("artist") ?? "", album: query.get("album") ?? "",
    least: query.get("least") ?? "", most: query.get("most") ?? "",
    sort: query.get("sort") ?? "artist", order: query.get("order") ?? "",
  };
  let total = 0;
  let active = 0;
  let blocks = new Map();
  let asked = new AbortController();
  let typed = 0;

  const search = h("input", { type: "search", id: "search", value: wanted.search, placeholder: "artist, album, title, genre …", autocomplete: "off",
    oninput: () => { clearTimeout(typed); typed = setTimeout(() => change({ search: search.value }), 180); } });
  const genre = h("select", { id: "genre", onchange: () => change({ genre: genre.value }) }, h("option", { value: "" }, "any genre"));
  const stateOf = h("select", { id: "state", onchange: () => change({ state: stateOf.value }) },
    h("option", { value: "" }, "any state"), Object.entries(STATES).map(([name, [, word]]) => h("option", { value: name }, word)));
  stateOf.value = wanted.state;
  const least = bound("least", "Score from");
  const most = bound("most", "to");
  const order = h("select", { id: "sort", onchange: () => { const [sort, way] = order.value.split(" "); change({ sort, order: way ?? "" }); } },
    COLUMNS.filter(([name]) => name).flatMap(([name, word]) => [h("option", { value: name }, `${word} ↑`), h("option", { value: `${name} down` }, `${word} ↓`)]),
    h("option", { value: "added down" }, "Newest first"), h("option", { value: "added" }, "Oldest first"));
  const counted = h("span", { class: "count", role: "status" });
  const list = h("button", { onclick: () => download().catch(complain) }, "Playlist");
  const heads = COLUMNS.map(([name, word]) => h("div", { role: "columnheader", class: `c-${word.toLowerCase()}` },
    name ? h("button", { class: "head", tabindex: "-1", onclick: () => change({ sort: name, order: wanted.sort === name && !wanted.order ? "down" : "" }) }, word) : word));
  const body = h("div", { role: "rowgroup", class: "rows" });
  const grid = h("div", { role: "grid", tabindex: "0", class: "grid", "aria-label": "Tracks", "aria-colcount": COLUMNS.length, onkeydown: key, onscroll: draw },
    h("div", { role: "rowgroup", class: "heads" }, h("div", { role: "row", "aria-rowindex": "1" }, heads)), body);

  const more = h("div", { class: `more${wanted.genre || wanted.state || wanted.least || wanted.most ? " unfolded" : ""}`, id: "more" },
    h("label", {}, h("span", {}, "Genre"), genre),
    h("label", {}, h("span", {}, "State"), stateOf),
    least.label, most.label,
    h("label", { class: "sorting" }, h("span", {}, "Sort by"), order));
  const unfold = h("button", { type: "button", class: "unfold", "aria-controls": "more", "aria-expanded": more.classList.contains("unfolded") ? "true" : "false",
    onclick: () => unfold.setAttribute("aria-expanded", more.classList.toggle("unfolded") ? "true" : "false") }, "Filter and sort");
  fill(place,
    h("h1", {}, "Library"),
    h("form", { class: "filters", role: "search", onsubmit: (event) => event.preventDefault() },
      h("label", { class: "wide" }, h("span", {}, "Search"), search),
      unfold, more),
    h("div", { class: "above" }, counted, only("artist"), only("album"), list),
    grid);

  function bound(name, word) {
    const input = h("input", { type: "number", min: "0", max: "1", step: "0.05", value: wanted[name], onchange: () => change({ [name]: input.value }) });
    return { label: h("label", { class: "narrow" }, h("span", {}, word), input), input };
  }

  function only(name) {
    return wanted[name] ? h("button", { class: "quiet", "aria-label": `Remove: only ${name} ${wanted[name]}`, onclick: () => change({ [name]: "" }) }, `${name}: ${wanted[name]} ✕`) : null;
  }

  function change(values) {
    Object.assign(wanted, values);
    const parts = new URLSearchParams();
    for (const [name, value] of Object.entries(wanted)) if (value && !(name === "sort" && value === "artist")) parts.set(name, value);
    history.replaceState(null, "", `#/library${parts.size ? `?${parts}` : ""}`);
    active = 0;
    grid.scrollTop = 0;
    for (const name of ["artist", "album"]) if (name in values) place.querySelectorAll(".above > .quiet").forEach((each) => each.remove());
    reload().catch(complain);
  }

  async function reload() {
    asked.abort();
    asked = new AbortController();
    const mine = asked;
    const first = Math.floor(grid.scrollTop / rowHeight() / BLOCK);
    const found = await get("/api/tracks", { ...wanted, start: first * BLOCK, count: BLOCK }, mine.signal);
    if (mine !== asked) return;
    blocks = new Map([[first, found.rows]]);
    total = found.total;
    counted.textContent = `${count(total)} ${total === 1 ? "track" : "tracks"}`;
    grid.setAttribute("aria-rowcount", total + 1);
    order.value = wanted.order ? `${wanted.sort} ${wanted.order}` : wanted.sort;
    heads.forEach((head, number) => {
      const here = COLUMNS[number][0] && COLUMNS[number][0] === wanted.sort;
      head.setAttribute("aria-sort", here ? (wanted.order ? "descending" : "ascending") : "none");
    });
    draw();
  }

  function rowHeight() {
    return window.matchMedia("(max-width: 700px)").matches ? 64 : 40;
  }

  function need(block) {
    if (blocks.has(block)) return;
    blocks.set(block, null);
    const mine = asked;
    get("/api/tracks", { ...wanted, start: block * BLOCK, count: BLOCK }, mine.signal).then((found) => {
      if (mine !== asked) return;
      blocks.set(block, found.rows);
      if (blocks.size > KEPT_BLOCKS) {
        const far = [...blocks.keys()].sort((a, b) => Math.abs(b - block) - Math.abs(a - block))[0];
        blocks.delete(far);
      }
      draw();
    }).catch((error) => { blocks.delete(block); complain(error); });
  }

  function rowAt(number) {
    return blocks.get(Math.floor(number / BLOCK))?.[number % BLOCK] ?? null;
  }

  function draw() {
    const high = rowHeight();
    body.style.height = `${Math.max(1, total) * high}px`;
    const from = Math.max(0, Math.floor(grid.scrollTop / high) - 8);
    const to = Math.min(total, Math.ceil((grid.scrollTop + grid.clientHeight) / high) + 8);
    for (let block = Math.floor(from / BLOCK); block <= Math.floor(Math.max(from, to - 1) / BLOCK); block += 1) if (total) need(block);
    const rows = [];
    for (let number = from; number < to; number += 1) rows.push(line(number, high));
    body.replaceChildren(...rows);
    if (!total) body.append(h("div", { role: "row", class: "row none" }, h("div", { role: "gridcell" }, "Nothing matches.")));
    if (rows.length) grid.setAttribute("aria-activedescendant", `row-${active}`);
    else grid.removeAttribute("aria-activedescendant");
  }

  function line(number, high) {
    const row = rowAt(number);
    const cell = (name, ...what) => h("div", { role: "gridcell", class: `c-${name}` }, ...what);
    const element = h("div", {
      role: "row", id: `row-${number}`, "aria-rowindex": number + 2, "aria-selected": number === active ? "true" : "false",
      class: `row${number === active ? " active" : ""}`, onclick: () => { active = number; if (row) location.hash = `#/track/${row.id}`; },
    });
    element.style.transform = `translateY(${number * high}px)`;
    if (!row) return put2(element, cell("title", "…"));
    return put2(element,
      cell("title", row.title), cell("artist", row.artist), cell("album", row.album),
      cell("genre", row.genres.join(", ") || "–"),
      cell("score", row.score === null ? "–" : h("span", { class: "score" }, h("span", { class: "meter", "aria-hidden": "true" }, h("span", { style: { width: `${row.score * 100}%` } })), row.score.toFixed(2))),
      cell("state", row.cause === "failed" ? h("span", { class: "chip failed" }, "! failed") : chip(row.state)),
      cell("year", row.year ?? ""), cell("length", length(row.duration_s)));
  }

  function put2(element, ...cells) {
    element.append(...cells);
    return element;
  }

  function key(event) {
    const page = Math.max(1, Math.floor(grid.clientHeight / rowHeight()) - 2);
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -total, End: total };
    if (event.target !== grid) return;
    if (event.key in moves) {
      event.preventDefault();
      active = Math.max(0, Math.min(total - 1, active + moves[event.key]));
      const high = rowHeight();
      const top = active * high;
      const inside = grid.clientHeight - 2 * high;
      if (top < grid.scrollTop) grid.scrollTop = top;
      else if (top > grid.scrollTop + inside) grid.scrollTop = top - inside;
      draw();
    } else if (event.key === "Enter" && rowAt(active)) {
      location.hash = `#/track/${rowAt(active).id}`;
    } else if (event.key === " " && rowAt(active)) {
      event.preventDefault();
      const rows = blocks.get(Math.floor(active / BLOCK));
      if (player.track?.id === rowAt(active).id) player.toggle();
      else player.play(rows, active % BLOCK);
    }
  }

  async function download() {
    const rows = [];
    for (let start = 0; start < Math.min(total, 5000); start += 200) {
      rows.push(...(await get("/api/tracks", { ...wanted, start, count: 200 })).rows);
    }
    await playlist(rows, "genretagger.m3u8", post, save);
  }

  get("/api/genres").then((names) => {
    genre.append(...names.slice(0, 200).map((name) => h("option", { value: name }, name)));
    if (wanted.genre && ![...genre.options].some((each) => each.value === wanted.genre)) genre.append(h("option", { value: wanted.genre }, wanted.genre));
    genre.value = wanted.genre;
  }).catch(complain);
  await reload();
  const resized = () => draw();
  window.addEventListener("resize", resized);
  return {
    shown: draw,
    changed: () => reload().catch(complain),
    tracks: () => reload().catch(complain),
    close: () => { asked.abort(); window.removeEventListener("resize", resized); },
  };
}
