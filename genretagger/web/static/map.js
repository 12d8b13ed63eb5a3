// The map: tracks as points, near where they sound alike. A line drawn around some of them chooses them.

import { complain, count, fill, get, h, paint, post, save, themed } from "./dom.js";
import { player, playlist } from "./player.js";
import { trackItem } from "./track.js";

const MOST = 5000;
const MARGIN = 14;

export async function open(place) {
  const facts = await get("/api/map");
  let shownGenre = "";
  let chosen = [];
  let line = [];
  let cursor = { x: 500, y: 500, r: 60, on: false };

  const canvas = h("canvas", { class: "map-canvas", tabindex: "0", role: "img", "aria-label": `Map of ${count(facts.total)} tracks by sound` });
  const genre = h("select", { onchange: () => { shownGenre = genre.value; draw(); } }, h("option", { value: "" }, "all genres"), facts.genres.map((name) => h("option", { value: name }, name)));
  const side = h("section", { class: "card picked", "aria-label": "Chosen tracks" });
  const hint = h("p", { class: "calm small" }, "Draw around some points to choose them. With the keyboard: arrows move a circle, + and − change it, Enter chooses.");
  fill(place, h("h1", {}, "Map"),
    h("div", { class: "above" }, h("label", {}, h("span", {}, "Show "), genre),
      h("span", { class: "count" }, facts.points.length < facts.total ? `${count(facts.points.length)} of ${count(facts.total)} tracks` : `${count(facts.total)} tracks`)),
    facts.points.length ? h("div", { class: "map-grid" },
      h("div", {}, canvas, hint, h("ul", { class: "legend" }, [...facts.genres, "others", "no genre"].map((name, number) => h("li", {}, h("span", { class: "dot", "aria-hidden": "true", style: { background: number < 9 ? `var(--genre-${number})` : "var(--quiet)" } }), name)))),
      side) : h("p", { class: "calm" }, "Nothing was listened to yet, or the tracks are still being compared."));

  function at([, x, y]) {
    return [MARGIN + (x / 1000) * (canvas.clientWidth - 2 * MARGIN), MARGIN + (1 - y / 1000) * (canvas.clientHeight - 2 * MARGIN)];
  }

  function draw() {
    const scale = devicePixelRatio;
    if (!canvas.clientWidth) return;
    canvas.width = canvas.clientWidth * scale;
    canvas.height = canvas.clientHeight * scale;
    const context = canvas.getContext("2d");
    context.scale(scale, scale);
    const wanted = facts.genres.indexOf(shownGenre);
    const size = facts.points.length > 5000 ? 2 : facts.points.length > 500 ? 3 : 6;
    const picked = new Set(chosen);
    const colours = [...Array(9).keys()].map(paint).concat(themed("--quiet"));
    context.globalAlpha = 0.75;
    for (const point of facts.points) {
      if (wanted >= 0 && point[3] !== wanted) continue;
      const [x, y] = at(point);
      context.fillStyle = colours[point[3]];
      context.fillRect(x - size / 2, y - size / 2, size, size);
    }
    context.globalAlpha = 1;
    context.strokeStyle = themed("--text");
    if (picked.size) for (const point of facts.points) if (picked.has(point[0])) {
      const [x, y] = at(point);
      context.strokeRect(x - size, y - size, 2 * size, 2 * size);
    }
    context.lineWidth = 2;
    if (line.length) {
      context.beginPath();
      line.forEach(([x, y], number) => (number ? context.lineTo(x, y) : context.moveTo(x, y)));
      context.closePath();
      context.stroke();
    }
    if (cursor.on) {
      const [x, y] = at([0, cursor.x, cursor.y]);
      context.beginPath();
      context.arc(x, y, (cursor.r / 1000) * canvas.clientWidth, 0, 7);
      context.stroke();
    }
  }

  function within([px, py]) {
    let inside = false;
    for (let each = 0, last = line.length - 1; each < line.length; last = each, each += 1) {
      const [x1, y1] = line[each];
      const [x2, y2] = line[last];
      if (y1 > py !== y2 > py && px < ((x2 - x1) * (py - y1)) / (y2 - y1) + x1) inside = !inside;
    }
    return inside;
  }

  function choose(test) {
    const wanted = facts.genres.indexOf(shownGenre);
    chosen = facts.points.filter((point) => (wanted < 0 || point[3] === wanted) && test(at(point))).map((point) => point[0]).slice(0, MOST);
    draw();
    showChosen().catch(complain);
  }

  async function showChosen() {
    if (!chosen.length) {
      fill(side, h("h2", {}, "Chosen"), h("p", { class: "calm" }, "Nothing yet."));
      return;
    }
    const rows = await post("/api/rows", { tracks: chosen.slice(0, 200) });
    fill(side, h("h2", {}, `${count(chosen.length)} tracks`),
      h("p", { class: "buttons" },
        h("button", { class: "main", onclick: () => player.play(rows) }, "Listen"),
        h("button", { onclick: () => playlist(chosen.map((id) => ({ id })), "map.m3u8", post, save).catch(complain) }, "Playlist")),
      h("ol", { class: "tracks" }, rows.slice(0, 50).map((row) => trackItem(row, ""))));
  }

  function spot(event) {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    cursor.on = false;
    line = [spot(event)];
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!canvas.hasPointerCapture(event.pointerId)) return;
    line.push(spot(event));
    draw();
  });
  canvas.addEventListener("pointerup", (event) => {
    const [x, y] = spot(event);
    if (line.length > 3) choose(within);
    else choose(([px, py]) => Math.hypot(px - x, py - y) < 12);
    line = [];
    draw();
  });
  canvas.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: [-25, 0], ArrowRight: [25, 0], ArrowUp: [0, 25], ArrowDown: [0, -25] };
    if (event.key in moves) {
      cursor = { ...cursor, on: true, x: Math.max(0, Math.min(1000, cursor.x + moves[event.key][0])), y: Math.max(0, Math.min(1000, cursor.y + moves[event.key][1])) };
    } else if (event.key === "+" || event.key === "-") {
      cursor = { ...cursor, on: true, r: Math.max(10, Math.min(500, cursor.r * (event.key === "+" ? 1.25 : 0.8))) };
    } else if (event.key === "Enter") {
      const [x, y] = at([0, cursor.x, cursor.y]);
      choose(([px, py]) => Math.hypot(px - x, py - y) < (cursor.r / 1000) * canvas.clientWidth);
    } else return;
    event.preventDefault();
    draw();
  });
  const resizing = new ResizeObserver(draw);
  resizing.observe(canvas);
  await showChosen();
  return { shown: draw, close: () => resizing.disconnect() };
}
