// The genres of a track over time: data that came once, drawn once, and moved in step with the sound by the browser.

import { bytes, colour, fill, h, length, paint, themed } from "./dom.js";
import { player } from "./player.js";

const SHADES = [[12, 12, 30], [46, 20, 90], [120, 28, 109], [190, 55, 82], [237, 105, 37], [251, 180, 26], [252, 255, 164]];

export class Timeline {
  // data: as the server gives it; row: the track
  constructor(data, row) {
    this.data = data;
    this.row = row;
    this.scores = bytes(data.scores);
    this.levels = bytes(data.levels);
    this.envelope = bytes(data.envelope);
    this.windows = data.seconds.length;
    this.updates = 0;
    this.genres = this.canvas("genres", 190, `Genres over time: ${this.words()}`);
    this.mel = this.canvas("mel", 110, "Mel spectrogram of the whole track");
    this.wave = this.canvas("wave", 70, "Waveform of the whole track");
    this.playhead = h("div", { class: "playhead", "aria-hidden": "true" });
    this.slider = h("div", {
      class: "timeline", role: "slider", tabindex: "0", "aria-label": "Place in the track",
      "aria-valuemin": "0", "aria-valuemax": Math.round(data.length_s), "aria-valuenow": "0",
      onpointerdown: (event) => this.point(event), onkeydown: (event) => this.key(event),
    }, this.genres, this.mel, this.wave, this.playhead);
    this.bars = data.genres.map((name, number) => {
      const fillBar = h("span", { style: { background: colour(number) } });
      const figure = h("span", { class: "figure" }, "0.00");
      return { fillBar, figure, item: h("li", {}, h("span", { class: "name" }, name), h("span", { class: "bar", "aria-hidden": "true" }, fillBar), figure) };
    });
    this.now = h("ul", { class: "barlist moment", "aria-label": "Genres of this moment" }, this.bars.map((each) => each.item));
    this.clock = h("span", { class: "clock" }, "0:00");
    this.element = h("div", { class: "sound" },
      h("div", { class: "pictures" }, this.slider,
        h("div", { class: "axis", "aria-hidden": "true" }, [0, 0.25, 0.5, 0.75, 1].map((part) => h("span", {}, length(part * data.length_s))))),
      h("div", { class: "now" }, h("h2", {}, "At ", this.clock), this.now));
    this.running = true;
    this.frame = this.frame.bind(this);
    this.redraw = this.redraw.bind(this);
    this.dark = window.matchMedia("(prefers-color-scheme: dark)");
    this.dark.addEventListener("change", this.redraw);
    this.resizing = new ResizeObserver(this.redraw);
    this.resizing.observe(this.slider);
    requestAnimationFrame(this.frame);
  }

  close() {
    this.running = false;
    this.resizing.disconnect();
    this.dark.removeEventListener("change", this.redraw);
  }

  canvas(name, high, label) {
    return h("canvas", { class: `picture ${name}`, role: "img", "aria-label": label, height: high });
  }

  words() {
    const parts = [];
    let last = null;
    for (let each = 0; each < this.windows; each += 1) {
      if (!this.data.heard[each]) continue;
      let best = 0;
      for (let genre = 1; genre < this.data.genres.length; genre += 1) if (this.at(each, genre) > this.at(each, best)) best = genre;
      if (best !== last) parts.push(`${this.data.genres[best]} from ${length(this.data.seconds[each])}`);
      last = best;
    }
    return parts.length > 8 ? `${parts.slice(0, 8).join(", ")} and on` : parts.join(", ") || "nothing is heard";
  }

  at(window, genre) {
    return this.scores[window * this.data.genres.length + genre] / 255;
  }

  // The score of a genre at a moment, between the middles of the two nearest windows.
  score(seconds, genre) {
    const { seconds: starts, window_s: long } = this.data;
    if (!this.windows) return 0;
    const time = seconds - long / 2;
    let after = starts.findIndex((start) => start > time);
    if (after === -1) after = this.windows;
    const before = Math.max(0, after - 1);
    const next = Math.min(this.windows - 1, after);
    const gap = starts[next] - starts[before];
    const part = gap > 0 ? Math.min(1, Math.max(0, (time - starts[before]) / gap)) : 0;
    return this.at(before, genre) * (1 - part) + this.at(next, genre) * part;
  }

  get here() {
    return player.track?.id === this.row.id ? player.time : 0;
  }

  frame() {
    if (!this.running) return;
    const seconds = this.here;
    if (seconds !== this.last) {
      this.last = seconds;
      this.updates += 1;
      this.show(seconds);
    }
    requestAnimationFrame(this.frame);
  }

  show(seconds) {
    const part = Math.min(1, seconds / (this.data.length_s || 1));
    this.playhead.style.transform = `translateX(${part * this.slider.clientWidth}px)`;
    let best = 0;
    const values = this.bars.map((each, genre) => this.score(seconds, genre));
    this.bars.forEach((each, genre) => {
      each.fillBar.style.width = `${values[genre] * 100}%`;
      each.figure.textContent = values[genre].toFixed(2);
      if (values[genre] > values[best]) best = genre;
    });
    this.element.dataset.genre = this.data.genres[best] ?? "";
    this.element.dataset.updates = String(this.updates);
    this.clock.textContent = length(seconds);
    const whole = Math.round(seconds);
    if (whole !== this.whole) {
      this.whole = whole;
      this.slider.setAttribute("aria-valuenow", whole);
      this.slider.setAttribute("aria-valuetext", `${length(seconds)}, ${this.data.genres[best] ?? "nothing"}`);
    }
  }

  point(event) {
    const box = this.slider.getBoundingClientRect();
    this.go(((event.clientX - box.left) / box.width) * this.data.length_s);
  }

  go(seconds) {
    player.load(this.row);
    player.seek(seconds);
  }

  key(event) {
    const moves = { ArrowRight: 5, ArrowUp: 5, ArrowLeft: -5, ArrowDown: -5, PageUp: 30, PageDown: -30 };
    if (event.key in moves) this.go(this.here + moves[event.key]);
    else if (event.key === "Home") this.go(0);
    else if (event.key === "End") this.go(this.data.length_s - 5);
    else if (event.key === " ") {
      player.load(this.row);
      player.toggle();
    } else return;
    event.preventDefault();
  }

  redraw() {
    const wide = Math.max(1, Math.round(this.slider.clientWidth * devicePixelRatio));
    if (this.slider.clientWidth === 0) return;
    for (const canvas of [this.genres, this.mel, this.wave]) {
      canvas.width = wide;
      canvas.height = Math.round(canvas.clientHeight * devicePixelRatio);
    }
    this.drawGenres();
    this.drawMel();
    this.drawWave();
    this.last = null;
  }

  drawGenres() {
    const context = this.genres.getContext("2d");
    const { width, height } = this.genres;
    const { seconds, window_s: long, length_s: total, genres, heard } = this.data;
    let most = 1;
    for (let each = 0; each < this.windows; each += 1) {
      let sum = 0;
      for (let genre = 0; genre < genres.length; genre += 1) sum += this.at(each, genre);
      most = Math.max(most, sum);
    }
    context.clearRect(0, 0, width, height);
    const x = (each) => ((seconds[each] + long / 2) / total) * width;
    const floor = new Float32Array(this.windows);
    for (let genre = 0; genre < genres.length; genre += 1) {
      context.beginPath();
      const top = new Float32Array(this.windows);
      for (let each = 0; each < this.windows; each += 1) top[each] = floor[each] + (this.at(each, genre) / most) * height;
      if (this.windows) {
        context.moveTo((seconds[0] / total) * width, height - floor[0]);
        context.lineTo((seconds[0] / total) * width, height - top[0]);
        for (let each = 0; each < this.windows; each += 1) context.lineTo(x(each), height - top[each]);
        const end = Math.min(width, ((seconds[this.windows - 1] + long) / total) * width);
        context.lineTo(end, height - top[this.windows - 1]);
        context.lineTo(end, height - floor[this.windows - 1]);
        for (let each = this.windows - 1; each >= 0; each -= 1) context.lineTo(x(each), height - floor[each]);
      }
      context.closePath();
      context.fillStyle = paint(genre);
      context.fill();
      floor.set(top);
    }
    context.fillStyle = themed("--quiet");
    for (let each = 0; each < this.windows; each += 1) {
      if (!heard[each]) context.fillRect((seconds[each] / total) * width, height - 3, Math.max(1, (long / total) * width), 3);
    }
  }

  drawMel() {
    const { columns, bands } = this.data;
    const picture = new ImageData(columns, bands);
    for (let column = 0; column < columns; column += 1) {
      for (let band = 0; band < bands; band += 1) {
        const level = (this.levels[column * bands + band] / 255) * (SHADES.length - 1);
        const low = Math.min(SHADES.length - 2, Math.floor(level));
        const part = level - low;
        const at = ((bands - 1 - band) * columns + column) * 4;
        for (let each = 0; each < 3; each += 1) picture.data[at + each] = SHADES[low][each] * (1 - part) + SHADES[low + 1][each] * part;
        picture.data[at + 3] = 255;
      }
    }
    const small = new OffscreenCanvas(Math.max(1, columns), Math.max(1, bands));
    small.getContext("2d").putImageData(picture, 0, 0);
    const context = this.mel.getContext("2d");
    const end = Math.min(1, (columns * this.data.column_s) / (this.data.length_s || 1)) * this.mel.width;
    context.drawImage(small, 0, 0, columns, bands, 0, 0, Math.max(1, end), this.mel.height);
  }

  drawWave() {
    const context = this.wave.getContext("2d");
    const { width, height } = this.wave;
    const { columns } = this.data;
    context.clearRect(0, 0, width, height);
    context.fillStyle = themed("--wave");
    const step = width / columns;
    for (let column = 0; column < columns; column += 1) {
      const low = this.envelope[2 * column] / 127.5 - 1;
      const high = this.envelope[2 * column + 1] / 127.5 - 1;
      const top = ((1 - high) / 2) * height;
      context.fillRect(column * step, top, Math.max(1, step), Math.max(1, ((high - low) / 2) * height));
    }
  }
}

export function waiting() {
  return fill(h("div", { class: "sound empty" }), h("p", { class: "calm", role: "status" }, "Listening to the whole track …"));
}
