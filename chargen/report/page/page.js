"use strict";

// Shows what was expected at a character, and colours a text by what a unit does. All text goes
// into the page as text, never as HTML.
(() => {
  const NOTHING = 0xffff;
  const PARTS = 0xfffe; // of a probability
  const data = JSON.parse(document.getElementById("data").textContent);
  const tip = document.getElementById("tip");
  const said = document.getElementById("said");
  const percent = (share) => `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;
  const signed = (value) => value.toFixed(2).replace("-", "\u2212");

  function decoded(text, Numbers) {
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    return new Numbers(bytes.buffer);
  }

  function element(tag, text, name) {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (name) made.className = name;
    return made;
  }

  function bar(share) {
    const namespace = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(namespace, "svg");
    const rect = document.createElementNS(namespace, "rect");
    svg.setAttribute("viewBox", "0 0 100 10");
    svg.setAttribute("preserveAspectRatio", "none");
    rect.setAttribute("width", (100 * share).toFixed(1));
    rect.setAttribute("height", "10");
    svg.append(rect);
    return svg;
  }

  // What was expected at each character of the text.
  const reading = data.reading && {
    names: data.reading.names,
    count: data.reading.count,
    characters: decoded(data.reading.characters, Uint16Array),
    bits: decoded(data.reading.bits, Uint16Array),
    likeliest: decoded(data.reading.likeliest, Uint16Array),
    probabilities: decoded(data.reading.probabilities, Uint16Array),
  };

  const nameAt = (place) => reading.names[reading.characters[place]];

  function likelyAt(place) {
    const found = [];
    for (let k = place * reading.count; k < (place + 1) * reading.count; k += 1) {
      if (reading.likeliest[k] !== NOTHING) {
        const character = reading.likeliest[k];
        const came = character === reading.characters[place];
        const share = reading.probabilities[k] / PARTS;
        found.push({ name: reading.names[character], share, came });
      }
    }
    return found;
  }

  function costAt(place) {
    const bits = reading.bits[place] / 100;
    if (reading.bits[place] === NOTHING) return "not scored";
    return `${bits.toFixed(2)} bits, ${percent(2 ** -bits)}`;
  }

  function showExpected(place) {
    const head = element("p");
    head.append(element("strong", nameAt(place)), ` ${costAt(place)}`);
    const table = element("table");
    for (const { name, share, came } of likelyAt(place)) {
      const row = element("tr", undefined, came ? "came" : "");
      const cell = element("td");
      cell.append(bar(share));
      row.append(element("td", name), element("td", percent(share), "number"), cell);
      table.append(row);
    }
    tip.replaceChildren(head, table);
  }

  function sayExpected(place) {
    const likely = likelyAt(place).map(({ name, share }) => `${name} ${percent(share)}`);
    return `${nameAt(place)}: ${costAt(place)}. Expected: ${likely.join(", ")}`;
  }

  function placeTip(target) {
    tip.hidden = false;
    const around = target.getBoundingClientRect();
    const own = tip.getBoundingClientRect();
    const room = document.documentElement.clientWidth;
    const left = Math.max(8, Math.min(around.left, room - own.width - 8));
    const below = around.bottom + 8 + own.height <= document.documentElement.clientHeight;
    const top = below ? around.bottom + 8 : Math.max(8, around.top - own.height - 8);
    tip.style.left = `${left + scrollX}px`;
    tip.style.top = `${top + scrollY}px`;
  }

  // The character above or below: in the next line of the screen, the one that is nearest.
  function beyond(characters, place, direction, x) {
    const middle = (box) => (box.top + box.bottom) / 2;
    const from = characters[place].getBoundingClientRect();
    let line = null;
    let best = place;
    let distance = Infinity;
    for (let k = place + direction; k >= 0 && k < characters.length; k += direction) {
      const box = characters[k].getBoundingClientRect();
      const height = middle(box);
      if (Math.abs(height - middle(from)) < from.height / 2) continue;
      if (line === null) line = height;
      if (Math.abs(height - line) >= from.height / 2) break;
      const away = Math.abs((box.left + box.right) / 2 - x);
      if (away < distance) [best, distance] = [k, away];
    }
    return best;
  }

  // A text whose characters can be pointed at, and moved through with the arrow keys.
  function follow(text, show, say) {
    const characters = [...text.children];
    const places = new Map(characters.map((character, place) => [character, place]));
    let current = 0;
    let goal = null; // where on the screen a cursor that moves up and down wants to be
    characters[0].tabIndex = 0;

    function move(place) {
      characters[current].removeAttribute("tabindex");
      current = place;
      characters[current].tabIndex = 0;
      characters[current].focus();
    }

    function present(target) {
      const place = places.get(target);
      if (place === undefined) return;
      show(place);
      placeTip(target);
    }

    text.addEventListener("pointerover", (event) => present(event.target));
    text.addEventListener("pointerleave", () => {
      tip.hidden = true;
    });
    text.addEventListener("click", (event) => {
      const place = places.get(event.target);
      if (place !== undefined) move(place);
    });
    text.addEventListener("focusin", (event) => {
      present(event.target);
      said.textContent = say(places.get(event.target));
    });
    text.addEventListener("focusout", () => {
      tip.hidden = true;
    });
    text.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.altKey || event.metaKey) return;
      const last = characters.length - 1;
      const forward = getComputedStyle(text).direction === "rtl" ? -1 : 1;
      let to = null;
      if (event.key === "ArrowRight") to = current + forward;
      if (event.key === "ArrowLeft") to = current - forward;
      if (event.key === "Home") to = 0;
      if (event.key === "End") to = last;
      if (event.key === "ArrowUp" || event.key === "ArrowDown") {
        const box = characters[current].getBoundingClientRect();
        goal ??= (box.left + box.right) / 2;
        to = beyond(characters, current, event.key === "ArrowDown" ? 1 : -1, goal);
      } else {
        goal = null;
      }
      if (event.key === "Escape") tip.hidden = true;
      if (to === null) return;
      event.preventDefault();
      move(Math.max(0, Math.min(last, to)));
    });
    return characters;
  }

  const readingText = document.getElementById("reading-text");
  if (readingText && reading) follow(readingText, showExpected, sayExpected);

  const unitsText = document.getElementById("units-text");
  if (unitsText && data.units.length) {
    const activations = data.units.map((unit) => decoded(unit.values, Int8Array));
    const rows = [...document.querySelectorAll("tr[data-unit]")];
    const other = document.getElementById("other");
    const title = document.getElementById("shown-unit");
    let shown = 0;
    let chosen = { unit: 0, words: title.textContent };

    const valueAt = (place) => (activations[shown][place] / 127) * data.units[shown].scale;
    const nameOfShown = () => data.units[shown].name;
    const characters = follow(
      unitsText,
      (place) => {
        const head = element("p");
        head.append(element("strong", nameAt(place)), ` ${nameOfShown()}: ${signed(valueAt(place))}`);
        tip.replaceChildren(head);
      },
      (place) => `${nameAt(place)}: ${signed(valueAt(place))}`,
    );

    // As in chargen/report/excerpt.py.
    function colour({ unit, words }) {
      shown = unit;
      characters.forEach((character, place) => {
        character.className = `u${Math.round((activations[unit][place] / 127) * 4) + 4}`;
      });
      title.textContent = words;
      document.getElementById("scale-low").textContent = signed(-data.units[unit].scale);
      document.getElementById("scale-high").textContent = signed(data.units[unit].scale);
    }

    function choose(next) {
      chosen = next;
      for (const row of rows) {
        const button = row.querySelector("button");
        button.setAttribute("aria-pressed", String(next.button === button));
      }
      colour(chosen);
    }

    for (const row of rows) {
      const button = row.querySelector("button");
      const unit = Number(row.dataset.unit);
      const own = { unit, button, words: `${data.units[unit].name}: ${button.textContent}` };
      row.addEventListener("pointerenter", () => colour(own));
      row.addEventListener("pointerleave", () => colour(chosen));
      button.addEventListener("focus", () => colour(own));
      button.addEventListener("blur", () => colour(chosen));
      row.addEventListener("click", () => {
        choose(own);
        if (other) other.value = "";
      });
    }
    if (other) {
      other.addEventListener("change", () => {
        if (other.value === "") return;
        const unit = Number(other.value);
        choose({ unit, words: data.units[unit].name });
      });
    }
    colour(chosen);
  }
})();
