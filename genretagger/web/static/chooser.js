// Choosing genres: those that are heard, by a number, and any other by typing a part of its name.

import { complain, fill, get, h } from "./dom.js";

let names = null;
let serial = 0;

export class Chooser {
  // facts: a track; done: gets the genres that were chosen; left: is called if nothing was
  constructor(facts, done, left) {
    serial += 1;
    this.id = `genres-${serial}`;
    this.done = done;
    this.left = left;
    this.chosen = facts.exact.length ? [...facts.exact] : [...(facts.decided?.genres ?? [])];
    this.heard = (facts.decided?.scores ?? []).slice(0, 6).map(([name]) => name);
    this.found = [];
    this.at = -1;
    this.chips = h("div", { class: "chosen", "aria-label": "Chosen genres", role: "group" });
    this.list = h("ul", { role: "listbox", id: this.id, class: "options", "aria-label": "Genres", hidden: true });
    this.input = h("input", {
      type: "text", role: "combobox", "aria-expanded": "false", "aria-controls": this.id, "aria-autocomplete": "list",
      "aria-label": "Choose a genre", placeholder: "type a genre", autocomplete: "off",
      oninput: () => this.look(), onkeydown: (event) => this.key(event), onblur: () => setTimeout(() => document.activeElement !== this.input && this.fold(), 150),
    });
    this.element = h("div", { class: "chooser" }, this.chips,
      h("div", { class: "combo" }, this.input, this.list),
      h("div", { class: "heard" }, this.heard.map((name, number) => h("button", { class: "suggest", onclick: () => this.toggle(name) },
        h("kbd", { "aria-hidden": "true" }, number + 1), ` ${name}`))),
      h("p", { class: "buttons" },
        h("button", { class: "main", onclick: () => this.finish() }, "Save"),
        h("button", { onclick: () => this.left() }, "Cancel")));
    this.show();
    // somebody may type before the names are there
    this.ready = names ? Promise.resolve() : get("/api/genres").then((found) => {
      names = found;
      if (this.input.value) this.look();
    }).catch(complain);
  }

  focus() {
    this.input.focus();
  }

  show() {
    fill(this.chips, this.chosen.length
      ? this.chosen.map((name) => h("button", { class: "genre", "aria-label": `Remove ${name}`, onclick: () => this.toggle(name) }, `${name} ✕`))
      : h("span", { class: "calm" }, "no genre"));
    this.element.querySelectorAll(".suggest").forEach((button, number) => {
      button.setAttribute("aria-pressed", this.chosen.includes(this.heard[number]) ? "true" : "false");
    });
  }

  toggle(name) {
    if (this.chosen.includes(name)) this.chosen = this.chosen.filter((each) => each !== name);
    else this.chosen.push(name);
    this.show();
  }

  matches(text) {
    const own = text.trim();
    const part = own.toLowerCase();
    const starts = (names ?? []).filter((name) => name.toLowerCase().startsWith(part));
    const holds = (names ?? []).filter((name) => !name.toLowerCase().startsWith(part) && name.toLowerCase().includes(part));
    const found = part ? [...starts, ...holds].slice(0, 8) : [];
    if (own && !found.some((name) => name.toLowerCase() === part)) found.push(own);
    return found;
  }

  look() {
    this.found = this.matches(this.input.value);
    this.at = this.found.length ? 0 : -1;
    this.unfold();
  }

  unfold() {
    this.list.hidden = !this.found.length;
    this.input.setAttribute("aria-expanded", this.found.length ? "true" : "false");
    fill(this.list, this.found.map((name, number) => h("li", {
      role: "option", id: `${this.id}-${number}`, "aria-selected": number === this.at ? "true" : "false",
      onpointerdown: (event) => { event.preventDefault(); this.take(name); },
    }, (names ?? []).includes(name) ? name : `${name} (new)`)));
    if (this.at >= 0) this.input.setAttribute("aria-activedescendant", `${this.id}-${this.at}`);
    else this.input.removeAttribute("aria-activedescendant");
  }

  fold() {
    this.found = [];
    this.at = -1;
    this.unfold();
  }

  take(name) {
    if (!this.chosen.includes(name)) this.chosen.push(name);
    this.input.value = "";
    this.fold();
    this.show();
  }

  takeLater(text) {
    this.input.value = "";
    this.fold();
    this.ready.then(() => {
      const name = this.matches(text)[0];
      if (name && !this.chosen.includes(name)) this.chosen.push(name);
      this.show();
    });
  }

  key(event) {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (!this.found.length) return;
      this.at = (this.at + (event.key === "ArrowDown" ? 1 : -1) + this.found.length) % this.found.length;
      this.unfold();
    } else if (event.key === "Enter") {
      if (this.at < 0) this.ready.then(() => this.finish());
      else if (names) this.take(this.found[this.at]);
      else this.takeLater(this.input.value);
    } else if (event.key === "Escape") {
      if (this.found.length) this.fold();
      else this.left();
    } else if (event.key === "Backspace" && !this.input.value && this.chosen.length) {
      this.chosen.pop();
      this.show();
    } else return;
    event.preventDefault();
  }

  finish() {
    Promise.resolve(this.done([...this.chosen])).catch(complain);
  }
}
