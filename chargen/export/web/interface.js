/*
 * The form of this page, and the text below it; `window.chargen` does the writing.
 *
 * Whatever is shown is put into the page as text, never as markup.
 */

const { chargen } = window;
const byId = (id) => document.getElementById(id);
const form = byId("form");
const prompt = byId("prompt");
const temperature = byId("temperature");
const degree = byId("degree");
const topK = byId("top-k");
const length = byId("length");
const seed = byId("seed");
const write = byId("write");
const stop = byId("stop");
const copy = byId("copy");
const note = byId("note");
const status = byId("status");
const text = byId("text");

let run = null; // what is being written: setting its `stopped` ends it
let shown = ""; // the prompt and what was written after it
let end = null; // the text node that is written to

// ------------------------------------------------------------------ writing

/** Write a text with the settings of the form; what is still being written is given up. */
async function begin() {
  if (run) run.stopped = true;
  const own = (run = { stopped: false, characters: 0 });
  const options = {
    length: length.valueAsNumber,
    temperature: temperature.valueAsNumber,
    topK: topK.value === "" ? null : topK.valueAsNumber,
    seed: seed.value === "" ? chargen.drawSeed() : seed.valueAsNumber,
  };
  clear(prompt.value);
  setBusy(true);
  note.textContent = noteOn(chargen.unknown(prompt.value));
  status.textContent = "Writing …";
  const began = performance.now();
  let problem = null;
  try {
    for await (const piece of chargen.stream(prompt.value, options)) {
      if (own.stopped) break;
      own.characters += Array.from(piece).length;
      show(piece);
    }
  } catch (error) {
    problem = error.message;
  }
  if (run !== own) return; // another text is being written by now
  const seconds = (performance.now() - began) / 1000;
  status.textContent = problem ? `It cannot write: ${problem}.` : summary(own, options, seconds);
  run = null;
  setBusy(false);
}

/** Say what was written, and how to have it written again. */
function summary({ stopped, characters }, options, seconds) {
  const number = (value) => Math.round(value).toLocaleString("en");
  const count = `${number(characters)} ${characters === 1 ? "character" : "characters"}`;
  const speed = seconds > 0 && !stopped ? ` at ${number(characters / seconds)} a second` : "";
  const again = options.temperature > 0 ? `, random seed ${options.seed}` : "";
  return `${stopped ? "Stopped after " : ""}${count}${speed}${again}.`;
}

/** Say what became of characters of the prompt that the network does not know. */
function noteOn(unknown) {
  if (unknown.length === 0) return "";
  const most = 8; // names, which fit on two lines of a phone
  const names = unknown.slice(0, most).map(named).join(", ");
  const more = unknown.length > most ? ` and ${unknown.length - most} more` : "";
  const replaced = chargen.unknown("\ufffd").length === 0;
  const fate = replaced ? "read as “some rare character”" : "left out";
  return `The network never saw some of the prompt, which was ${fate}: ${names}${more}.`;
}

/** Name a character by its code, and show it unless it is invisible or would join another. */
function named(character) {
  const code = `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
  return /^[\p{L}\p{N}\p{P}\p{S}]$/u.test(character) ? `\u2068${character}\u2069 (${code})` : code;
}

// ------------------------------------------------------------------ the text

/** Begin an empty text with its prompt. */
function clear(beginning) {
  const given = document.createElement("span");
  given.className = "given";
  given.textContent = shown = beginning;
  end = document.createTextNode("");
  text.replaceChildren(given, end);
}

/** Add a piece to the text. */
function show(piece) {
  shown += piece;
  end.appendData(piece);
}

/** Let the buttons, and what reads the page aloud, know whether text is being written. */
function setBusy(busy) {
  text.setAttribute("aria-busy", String(busy));
  if (!busy && document.activeElement === stop) write.focus();
  stop.disabled = !busy;
  copy.disabled = false;
}

async function copyText() {
  try {
    await navigator.clipboard.writeText(shown);
    status.textContent = "The text is copied.";
  } catch { // a browser may not allow this, above all to a page from a file
    getSelection().selectAllChildren(text);
    const key = /Mac|iPhone|iPad/.test(navigator.userAgent) ? "⌘C" : "Ctrl-C";
    status.textContent = `The text is selected; copy it with ${key}.`;
  }
}

// ------------------------------------------------------------------ the form

function showTemperature() {
  degree.textContent = temperature.valueAsNumber.toFixed(2);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  begin();
});
prompt.addEventListener("keydown", (event) => {
  // Enter alone begins a new line of the prompt.
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.isComposing) {
    event.preventDefault();
    form.requestSubmit();
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && run) run.stopped = true;
});
stop.addEventListener("click", () => {
  if (run) run.stopped = true;
});
copy.addEventListener("click", copyText);
temperature.addEventListener("input", showTemperature);

showTemperature();
write.disabled = false;
status.textContent = "";
