/*
 * The network of this page, and how it writes: what chargen does in NumPy, in plain JavaScript.
 *
 * From top to bottom: the model that the page carries, its characters, products, cells, layers,
 * readings (characters in, predictions out), drawing, and `window.chargen`, which offers it all.
 *
 * Sizes: V characters in the vocabulary, I inputs of a layer, U units, G gates (LSTM 4, GRU 3,
 * RNN 1), D directions (2 if the network is bidirectional, else 1), T characters of a window. A
 * matrix (R, C) is one Float32Array, row after row.
 */

// ------------------------------------------------------------------ the model

const model = JSON.parse(document.getElementById("model").textContent);
const { cell, activation, units: U, vocabulary_size: V } = model.config;
const D = model.config.bidirectional ? 2 : 1;
const GU = { lstm: 4, gru: 3, rnn: 1 }[cell] * U;

const weights = decodeHalves(document.getElementById("weights"), model.parameters);
let taken = 0;

/** Return the next of the weights, which follow each other in the order of their use. */
function take(count) {
  taken += count;
  return weights.subarray(taken - count, taken);
}

/**
 * Decode numbers of 16 bits, in base64, the lower byte first: Float32Array (count,).
 *
 * They are decoded a piece at a time, and the element is emptied: of a large network, a whole copy
 * in another form would take as much memory again.
 */
function decodeHalves(element, count) {
  const base64 = element.textContent;
  const floats = new Float32Array(count);
  const bits = new Uint32Array(floats.buffer);
  const piece = 1 << 16; // of base64; every 8 of its characters are 3 numbers
  for (let start = 0, n = 0; start < base64.length; start += piece) {
    const bytes = atob(base64.slice(start, start + piece));
    for (let k = 0; k < bytes.length; k += 2) {
      const half = bytes.charCodeAt(k) | (bytes.charCodeAt(k + 1) << 8);
      // The sign, then the exponent and the fraction at their places in a float32.
      bits[n++] = ((half & 0x8000) << 16) | ((half & 0x7fff) << 13);
    }
  }
  // A half's exponent counts from -15, a float32's from -127.
  for (let n = 0; n < count; n++) floats[n] *= 2 ** 112;
  element.remove();
  return floats;
}

// ------------------------------------------------------------------ characters

// A character is a Unicode code point, as JavaScript iterates over a string; its id is its
// position in the vocabulary.
const characters = Array.from(model.characters); // (V,)
const ids = new Map(characters.map((character, id) => [character, id]));
const standIn = ids.get("\ufffd"); // of characters that the model does not know, if it has one
const neverWritten = V > 1 ? standIn : undefined;
const startOfText = ids.has("\n") ? [ids.get("\n")] : []; // a text begins as if after a line end

/** Return the ids of a text; unknown characters are replaced, or else left out. */
function encode(text) {
  return Array.from(text, (character) => ids.get(character) ?? standIn).filter(
    (id) => id !== undefined,
  );
}

/** Return the characters of a text that the model does not know, each once. */
function unknown(text) {
  return [...new Set(text)].filter((character) => !ids.has(character));
}

// ------------------------------------------------------------------ products

/** Add the product of a vector x (R,) and a matrix (R, C) to `out` (C,). */
function addProduct(out, x, matrix) {
  const R = x.length;
  const C = out.length;
  let r = 0;
  for (; r + 4 <= R; r += 4) { // four rows at a time, so that `out` is read and written less often
    const a = x[r], b = x[r + 1], c = x[r + 2], d = x[r + 3];
    const i = r * C, j = i + C, k = j + C, l = k + C; // where the rows begin
    for (let n = 0; n < C; n++) {
      out[n] += a * matrix[i + n] + b * matrix[j + n] + c * matrix[k + n] + d * matrix[l + n];
    }
  }
  for (; r < R; r++) {
    for (let n = 0; n < C; n++) out[n] += x[r] * matrix[r * C + n];
  }
}

// ------------------------------------------------------------------ cells

const { tanh } = Math;
const sigmoid = (x) => 1 / (1 + Math.exp(-x));
const activate = {
  tanh,
  sigmoid,
  relu: (x) => Math.max(x, 0),
  leaky_relu: (x) => Math.max(x, model.leaky_relu_slope * x),
}[activation];

/**
 * Advance a state by one character, as Keras' layer of that name does.
 *
 * `x` (G U,) holds the projected inputs, input W + b, and is overwritten; `h` (U,) is the last
 * output, which becomes the next one.
 */
const advance = {
  // i, f, o = sigmoid(...), g = tanh(...); c' = f c + i g; h' = o tanh(c'). Columns: i, f, g, o.
  lstm({ recurrentKernel }, x, { h, c }) {
    addProduct(x, h, recurrentKernel);
    for (let u = 0; u < U; u++) {
      const i = sigmoid(x[u]);
      const f = sigmoid(x[U + u]);
      const g = tanh(x[2 * U + u]);
      const o = sigmoid(x[3 * U + u]);
      c[u] = f * c[u] + i * g;
      h[u] = o * tanh(c[u]);
    }
  },
  // z, r = sigmoid(...); g = tanh(x_g + r (h U_g + d_g)); h' = z h + (1 - z) g. Columns: z, r, g.
  gru({ recurrentKernel, recurrentBias, product }, x, { h }) {
    product.set(recurrentBias);
    addProduct(product, h, recurrentKernel);
    for (let u = 0; u < U; u++) {
      const z = sigmoid(x[u] + product[u]);
      const r = sigmoid(x[U + u] + product[U + u]);
      const g = tanh(x[2 * U + u] + r * product[2 * U + u]);
      h[u] = z * h[u] + (1 - z) * g;
    }
  },
  // h' = activation(x + h U).
  rnn({ recurrentKernel }, x, { h }) {
    addProduct(x, h, recurrentKernel);
    for (let u = 0; u < U; u++) h[u] = activate(x[u]);
  },
}[cell];

// ------------------------------------------------------------------ layers

/** A layer that reads the outputs of the layer below, in one direction. */
class Layer {
  constructor(inputs) {
    this.kernel = take(inputs * GU); // (I, G U)
    this.recurrentKernel = take(U * GU); // (U, G U)
    this.bias = take(GU); // (G U,)
    this.recurrentBias = cell === "gru" ? take(GU) : null; // (G U,)
    this.x = new Float32Array(GU); // overwritten by each step, as is the product
    this.product = new Float32Array(GU);
  }

  /** Return the zero state: the output h (U,), and an LSTM's memory c (U,). */
  state() {
    return { h: new Float32Array(U), c: new Float32Array(U) };
  }

  /** Read the output of the layer below, (I,). */
  step(state, input) {
    this.project(input);
    advance(this, this.x, state);
  }

  project(input) {
    this.x.set(this.bias);
    addProduct(this.x, input, this.kernel);
  }
}

/** A layer that reads ids of characters. */
class FirstLayer extends Layer {
  constructor(table) {
    super(table ? model.config.embedding : V);
    this.table = table; // (V, embedding), or null with one-hot vectors
    this.rows = []; // (V, G U): the x of each character, computed when it is first read
  }

  project(id) {
    this.x.set((this.rows[id] ??= this.row(id)));
  }

  row(id) {
    const row = Float32Array.from(this.bias);
    if (this.table) {
      const width = model.config.embedding;
      addProduct(row, this.table.subarray(id * width, (id + 1) * width), this.kernel);
    } else { // the product of a one-hot vector and the kernel is one row of the kernel
      for (let n = 0; n < GU; n++) row[n] += this.kernel[id * GU + n];
    }
    return row;
  }
}

const table = model.config.embedding ? take(V * model.config.embedding) : null;
// For each layer its directions: forward, and backward if the network is bidirectional.
const layers = Array.from({ length: model.config.layers }, (_, k) =>
  Array.from({ length: D }, () => (k === 0 ? new FirstLayer(table) : new Layer(D * U))),
);
const denseKernel = take(D * U * V); // (D U, V)
const denseBias = take(V); // (V,)

/** Return the logits (V,) of the top layer's output (D U,). */
function predict(output) {
  const logits = Float32Array.from(denseBias);
  addProduct(logits, output, denseKernel);
  return logits;
}

// ------------------------------------------------------------------ readings

// `after(ids)` reads more of a text, and returns the logits (V,) of what comes next. It yields
// after each step, so that the page can do something else in between.

/** A text read with carried state, after `--predict all`. */
class CarriedReading {
  states = layers.map(([layer]) => layer.state());

  *after(ids) {
    for (const id of ids) {
      let input = id;
      layers.forEach(([layer], k) => {
        layer.step(this.states[k], input);
        input = this.states[k].h;
      });
      yield;
    }
    return predict(this.states.at(-1).h);
  }
}

/** A text of which each character is predicted from the window before it alone. */
class WindowReading {
  window = [];

  *after(ids) {
    this.window = this.window.concat(ids).slice(-model.config.window);
    const T = this.window.length;
    const output = new Float32Array(D * U); // of the top layer, at the end of each direction
    let inputs = this.window; // (T,) ids, then (T, D U) outputs of the layer below
    for (const directions of layers) {
      const top = directions === layers.at(-1);
      const outputs = top ? [] : inputs.map(() => new Float32Array(D * U));
      for (const [d, layer] of directions.entries()) {
        const state = layer.state();
        for (let t = 0; t < T; t++) {
          const position = d === 0 ? t : T - 1 - t;
          layer.step(state, inputs[position]);
          if (!top) outputs[position].set(state.h, d * U);
          yield;
        }
        if (top) output.set(state.h, d * U);
      }
      inputs = outputs;
    }
    return predict(output);
  }
}

const Reading = model.config.predict === "all" ? CarriedReading : WindowReading;

// ------------------------------------------------------------------ drawing

const SEEDS = 2 ** 32;

/**
 * Return a generator of random numbers from 0 to below 1, in steps of 2 ** -53.
 *
 * It is xoshiro128** of Blackman and Vigna 2018. Its state of 128 bits comes from the seed by a
 * counter whose bits are mixed, as in the splitmix generator of Steele, Lea, Flood 2014. NumPy's
 * numbers are others: `chargen sample` with the same random seed writes another text.
 */
function randomNumbers(seed) {
  let counter = seed | 0;
  const mixed = () => {
    let z = (counter = (counter + 0x9e3779b9) | 0);
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return z ^ (z >>> 15);
  };
  const rotated = (x, k) => (x << k) | (x >>> (32 - k));
  let [a, b, c, d] = [mixed(), mixed(), mixed(), mixed()];
  const bits = () => {
    const result = Math.imul(rotated(Math.imul(b, 5), 7), 9);
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = rotated(d, 11);
    return result >>> 0;
  };
  return () => ((bits() >>> 5) * 2 ** 26 + (bits() >>> 6)) / 2 ** 53;
}

/** Return a random seed that is drawn anew. */
function drawSeed() {
  return crypto.getRandomValues(new Uint32Array(1))[0];
}

/**
 * Choose the next id.
 *
 * The logits (V,) are changed. Temperature 0 takes the most likely character; else one of the topK
 * most likely is drawn with the probability that softmax(logits / temperature) gives it. Of equal
 * logits, the lower id counts as more likely.
 */
function choose(logits, { temperature, topK }, random) {
  if (!logits.every(Number.isFinite)) {
    throw new Error("the network's outputs are not finite numbers");
  }
  if (neverWritten !== undefined) logits[neverWritten] = -Infinity;
  let best = 0;
  for (let id = 1; id < V; id++) if (logits[id] > logits[best]) best = id;
  if (temperature === 0) return best;

  let candidates = characters.map((_, id) => id);
  if (topK < V) candidates = candidates.sort((j, k) => logits[k] - logits[j]).slice(0, topK);
  const shares = candidates.map((id) => Math.exp((logits[id] - logits[best]) / temperature));
  let point = random() * shares.reduce((sum, share) => sum + share, 0);
  const drawn = candidates.find((_, k) => (point -= shares[k]) < 0);
  return drawn ?? best; // a sum that rounding made too small
}

/** Write: yield each character, and nothing whenever there is time for something else. */
function* compose(prompt, options) {
  const reading = new Reading();
  const random = randomNumbers(options.seed);
  let read = [...startOfText, ...encode(prompt)];
  for (let n = 0; n < options.length; n++) {
    const id = choose(yield* reading.after(read), options, random);
    yield characters[id];
    read = [id];
  }
}

// ------------------------------------------------------------------ window.chargen

const SLICE_MS = 12; // of computing, after which the page may answer its reader

/** Wait until the page has done what is due; unlike with timers, this takes no 4 ms. */
function pause() {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}

/** Return all options, after checking that they are in range. */
function checked(options) {
  const length = options.length ?? model.sampling.length;
  const temperature = options.temperature ?? model.sampling.temperature;
  const topK = options.topK ?? V;
  const seed = options.seed ?? drawSeed();
  const whole = (number, least) => Number.isSafeInteger(number) && number >= least;
  if (!whole(length, 0)) throw new RangeError("length must be a whole number, 0 or more");
  if (!(Number.isFinite(temperature) && temperature >= 0)) {
    throw new RangeError("temperature must be a number, 0 or more");
  }
  if (!whole(topK, 1)) throw new RangeError("topK must be a whole number, 1 or more");
  if (!(whole(seed, 0) && seed < SEEDS)) {
    throw new RangeError(`seed must be a whole number from 0 to ${SEEDS - 1}`);
  }
  return { length, temperature, topK, seed };
}

/**
 * Write text that continues a prompt, and yield it in pieces; the prompt is no part of it.
 *
 * The options are those of `sample`. A piece may be empty: while a long prompt is read, and
 * whenever a slice of time has passed.
 */
async function* stream(prompt = "", options = {}) {
  let piece = "";
  let due = performance.now() + SLICE_MS;
  for (const character of compose(prompt, checked(options))) {
    piece += character ?? "";
    if (performance.now() >= due) {
      yield piece;
      piece = "";
      await pause();
      due = performance.now() + SLICE_MS;
    }
  }
  yield piece;
}

/**
 * Write text that continues a prompt: a promise of the text without the prompt.
 *
 * Options: `length` in characters; `temperature`, 0 for the most likely character each time;
 * `topK`, how many of the most likely characters to draw from, null for all; `seed`, a whole number
 * below 2 ** 32 with which the text is always the same, null for a new one.
 */
async function sample(prompt = "", options = {}) {
  let text = "";
  for await (const piece of stream(prompt, options)) text += piece;
  return text;
}

/** Return the logits of what follows a text: an array (V,), in the vocabulary's order. */
function logits(text) {
  const reading = new Reading().after([...startOfText, ...encode(text)]);
  let step = reading.next();
  while (!step.done) step = reading.next();
  return Array.from(step.value);
}

window.chargen = Object.freeze({ logits, sample, stream, unknown, drawSeed });
