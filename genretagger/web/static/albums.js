// Albums with their covers; those with tracks that sound unlike the others can be looked at alone.

import { complain, count, fill, get, h } from "./dom.js";

const BLOCK = 60;

export async function open(place, { query }) {
  let start = 0;
  let typed = 0;
  const search = h("input", { type: "search", value: query.get("search") ?? "", autocomplete: "off", placeholder: "album, artist …",
    oninput: () => { clearTimeout(typed); typed = setTimeout(() => load(0).catch(complain), 200); } });
  const odd = h("input", { type: "checkbox", onchange: () => load(0).catch(complain) });
  odd.checked = query.get("odd") === "yes";
  const counted = h("span", { class: "count", role: "status" });
  const wall = h("ul", { class: "wall" });
  const back = h("button", { onclick: () => load(start - BLOCK).catch(complain) }, "Previous");
  const on = h("button", { onclick: () => load(start + BLOCK).catch(complain) }, "Next");
  fill(place,
    h("h1", {}, "Albums"),
    h("form", { class: "filters", role: "search", onsubmit: (event) => event.preventDefault() },
      h("label", { class: "wide" }, h("span", {}, "Search"), search),
      h("label", { class: "check" }, odd, h("span", {}, "only with tracks unlike the others"))),
    h("div", { class: "above" }, counted, back, on),
    wall);

  async function load(from) {
    const found = await get("/api/albums", { search: search.value, odd: odd.checked ? "yes" : "", start: Math.max(0, from), count: BLOCK });
    start = found.start;
    counted.textContent = `${count(found.total)} ${found.total === 1 ? "album" : "albums"}${found.total > BLOCK ? `, ${count(start + 1)} to ${count(Math.min(found.total, start + BLOCK))}` : ""}`;
    back.disabled = start === 0;
    on.disabled = start + BLOCK >= found.total;
    fill(wall, found.albums.map((each) => h("li", {}, h("a", { href: `#/track/${each.id}` },
      cover(each.cover, 160),
      h("strong", {}, each.album),
      h("span", { class: "calm" }, each.artist || "unknown artist"),
      h("span", { class: "calm" }, `${count(each.tracks)} ${each.tracks === 1 ? "track" : "tracks"}${each.year ? `, ${each.year}` : ""}`),
      each.odd ? h("span", { class: "chip unsure" }, `${each.odd} unlike the others`) : null))));
  }
  await load(0);
  return { changed: () => load(start).catch(complain), tracks: () => load(start).catch(complain) };
}

export function cover(number, size) {
  const frame = h("span", { class: "cover", "aria-hidden": "true" }, h("span", { class: "no-cover" }, "♪"));
  const picture = h("img", { src: `/cover/${number}`, alt: "", width: size, height: size, loading: "lazy", decoding: "async" });
  picture.addEventListener("error", () => picture.remove());
  frame.append(picture);
  return frame;
}
