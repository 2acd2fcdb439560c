// The rating page: one image, two, or a 3 x 3 grid; one key or tap is an answer. What comes next is decoded beforehand, and
// answers.js sees to it that none is lost.
import { Answers } from "./answers.js";
import { painted, prepare, sleep } from "./pictures.js";

const $ = (id) => document.getElementById(id);
const AHEAD = { like: 8, rating: 8, pair: 6, grid: 4 };
const TWICE = 200; // ms after an image is painted: whoever taps sooner tapped twice, and hasn't seen it
const BACK = 5; // answers that can be taken back
const POLL = 5000; // ms between two looks at a study that is paused or has no images to give
const PATIENCE = 2000; // ms without an image after which the page says why
const RATINGS = ["1", "2", "3", "4", "5"];

const KEYS = new Map(); // key -> the button that it presses

let study;
let words = JSON.parse($("words").textContent); // all that this page says, in the study's language
let answers;
let slots = []; // handed out and not answered, by place: {place, nodes, ready, late}
let current = null; // the slot on the screen
let seen = 0; // when its images were painted, 0 before
let turned = 0; // when a panel came up or an answer was taken back: whoever taps sooner than TWICE tapped twice
let history = []; // {slot, uuid} of the last answers
const answered = new Set(); // places that the server may not yet know to be answered
let view = "loading";
let keysOn = true; // whether a single key answers
let poll = null;
let idle = 0; // since when there is no image to show, 0 while there is one
let wait = null;

async function start() {
  if (!(await learn())) return;
  if (location.pathname !== "/") window.history.replaceState(null, "", "/");
  words = study.words;
  document.documentElement.lang = words.lang;
  document.documentElement.dir = words.dir;
  showKeys();
  document.title = study.study;
  $("question").textContent = study.question;
  buildAnswers();
  if (study.consented) begin();
  else if (study.state === "open") welcome();
  else follow(study.state);
}

/** Asks the server for the study until it answers; false where this browser may not see one. */
async function learn() {
  for (let tries = 0; ; tries++) {
    try {
      const response = await fetch("/api/study");
      // A link that was just opened came with a cookie: where it isn't sent back, this browser keeps none.
      if (response.status === 401) return lost(location.pathname.startsWith("/join/") ? "cookies" : "link");
      if (response.ok) {
        study = await response.json();
        return true;
      }
    } catch {
      // no connection: the same as a server that is starting
    }
    panel("loading", words.loading_title, [words.loading]);
    await sleep(Math.min(8000, 500 * 2 ** tries));
  }
}

/** What the browser has kept is sent first; with the reply come the images. */
function begin() {
  answers = new Answers(study.rater, AHEAD[study.mode], { reply: receive, change: showProgress, elsewhere, lost });
  for (const event of answers.events()) note(event);
  showProgress();
  if (study.state === "open") open();
  else follow(study.state);
  answers.send();
}

/** Keeps count of which places are answered. */
function note({ kind, place }) {
  if (kind === "undo") answered.delete(place);
  else if (kind !== "visible") answered.add(place);
}

/* The answers' buttons, by the study's mode. */

function buildAnswers() {
  const { mode } = study;
  document.body.dataset.mode = mode;
  const give = (kind, value, label) => () => answer(kind, value, label);
  const kinds = {
    like: () => [
      choice("dislike", words.dislike, ["←", "ArrowLeft", "n", "1"], give("like", 0, words.dislike)),
      choice("like", words.like, ["→", "ArrowRight", "y", "2"], give("like", 1, words.like)),
    ],
    rating: () => RATINGS.map((label, k) =>
      choice(`rating${k + 1}`, label, [`${k + 1}`, `${k + 1}`], give("rating", k + 1, label))),
    pair: () => [
      choice("left", words.left, ["←", "ArrowLeft", "1"], give("choice", "left", words.left)),
      choice("tie", words.tie, ["↑", "ArrowUp", "t", "3"], give("choice", "tie", words.tie)),
      choice("bad", words.bad, ["↓", "ArrowDown", "b", "4"], give("choice", "bad", words.bad)),
      choice("right", words.right, ["→", "ArrowRight", "2"], give("choice", "right", words.right)),
    ],
    grid: () => [choice("next", words.next, ["Enter", "Enter", " "], () => answer("choice", liked(), words.next))],
  };
  $("choices").append(...kinds[mode]());
  if (mode === "rating") {
    for (const [end, text] of [["worst", words.worst], ["best", words.best]]) {
      if (!text) continue;
      $("choices").append(Object.assign(document.createElement("span"), { className: `end ${end}`, textContent: text }));
    }
  }
  face($("undo"), words.undo, "U", undo);
  face($("skip"), words.skip, "S", give("skip", null, words.skip));
  KEYS.set("u", $("undo")).set("backspace", $("undo")).set("s", $("skip"));
  for (let k = 0; k < { like: 1, rating: 1, pair: 2, grid: 9 }[mode]; k++) $("cells").append(cell(k));
}

function choice(name, label, [shown, ...keys], action) {
  const button = Object.assign(document.createElement("button"), { type: "button", className: name });
  button.setAttribute("aria-keyshortcuts", keys.map((key) => (key === " " ? "Space" : key)).join(" "));
  for (const key of keys) KEYS.set(key.toLowerCase(), button);
  return face(button, label, label === shown ? "" : shown, action);
}

function face(button, label, shown, action) {
  const name = Object.assign(document.createElement("span"), { textContent: label });
  const key = Object.assign(document.createElement("kbd"), { textContent: shown, ariaHidden: "true" });
  button.append(name, ...(shown ? [key] : []));
  button.addEventListener("click", action);
  return button;
}

function cell(k) {
  if (study.mode !== "grid") {
    const frame = document.createElement("div");
    // In a pair the image is as good a target as its button.
    if (study.mode === "pair") frame.addEventListener("click", () => KEYS.get(["arrowleft", "arrowright"][k]).click());
    return frame;
  }
  const button = Object.assign(document.createElement("button"), { type: "button", ariaPressed: "false" });
  button.setAttribute("aria-keyshortcuts", `${k + 1}`);
  KEYS.set(`${k + 1}`, button);
  button.addEventListener("click", () => {
    if (current && seen) button.ariaPressed = `${button.ariaPressed !== "true"}`;
  });
  return button;
}

function liked() {
  return [...$("cells").children].flatMap((button, k) => (button.ariaPressed === "true" ? [k] : []));
}

/* From an answer to the next image. */

function answer(kind, value, label) {
  if (view !== "rate" || !current || !seen || performance.now() - seen < TWICE) return;
  const slot = current;
  current = null;
  slots = slots.filter((other) => other !== slot);
  answered.add(slot.place);
  history = [...history, { slot, uuid: answers.record(slot.place, kind, value) }].slice(-BACK);
  say(`${label}. ${$("count").textContent}`);
  const done = study.progress.answered + answers.gain;
  if (study.pause_every && done % study.pause_every === 0 && done < study.progress.wanted) rest(done);
  else show();
}

function undo() {
  if (!history.length || !["rate", "rest"].includes(view) || performance.now() - turned < TWICE) return;
  turned = performance.now();
  const { slot, uuid } = history.pop();
  answered.delete(slot.place);
  answers.record(slot.place, "undo", uuid);
  slots = [slot, ...slots.filter((other) => other.place !== slot.place)].sort((a, b) => a.place - b.place);
  current = null;
  say(`${words.undo}. ${$("count").textContent}`);
  open();
}

/** Loads one slot after the other: the first has a slow line for itself. */
function load() {
  const next = slots.find((slot) => !slot.ready && !slot.late);
  if (next && !next.loading) next.load();
}

/** Puts the first slot on the screen as soon as its images are decoded, or another one where it doesn't come. */
async function show() {
  load();
  $("undo").ariaDisabled = `${!history.length}`;
  if (view !== "rate" || current) return;
  const slot = slots[0]?.late ? (slots.find(({ ready }) => ready) ?? slots[0]) : slots[0];
  clearTimeout(wait);
  if (!slot?.ready) {
    busy(true);
    seen = 0;
    idle ||= performance.now();
    $("note").textContent = hint(slot);
    if (slot) wait = setTimeout(show, PATIENCE);
    return;
  }
  busy(false);
  idle = 0;
  $("note").textContent = "";
  current = slot;
  seen = 0;
  $("stage").ariaBusy = "true";
  [...$("cells").children].forEach((frame, k) => {
    frame.replaceChildren(...slot.nodes.slice(k, k + 1));
    if (study.mode === "grid") frame.ariaPressed = "false";
  });
  await painted();
  if (current !== slot || view !== "rate") return;
  answers.record(slot.place, "visible", null);
  seen = performance.now();
  $("stage").ariaBusy = "false";
}

function busy(on) {
  document.body.toggleAttribute("data-busy", on);
  for (const button of [...$("choices").querySelectorAll("button"), $("skip")]) button.ariaDisabled = `${on}`;
}

function hint(slot) {
  if (answers.trouble === "connection") return words.offline;
  if (answers.trouble) return words.busy;
  if (slot) return performance.now() - idle < PATIENCE ? "" : slot.late ? words.image_late : words.image_coming;
  return answers.sending ? "" : words.no_images;
}

/* What comes from the server. */

function receive(reply, refused) {
  study.progress = reply.progress;
  study.code = reply.code;
  for (const event of refused) if (event.kind !== "visible") answered.delete(event.place);
  const offered = new Map(reply.slots.map(({ place, images }) => [place, images.map(({ src }) => src).join()]));
  const last = Math.max(0, ...offered.keys());
  // A place below the last that isn't offered any more was answered elsewhere, unless something about it is on the way. One with
  // other images now is another rater's, who withdrew and came again.
  slots = slots.filter(({ place, sources }) =>
    offered.has(place) ? offered.get(place) === sources : place > last || answers.concerns(place));
  if (current && !slots.includes(current)) current = null;
  const held = new Set(slots.map(({ place }) => place));
  for (const slot of reply.slots) if (!answered.has(slot.place) && !held.has(slot.place)) slots.push(prepare(slot, study.mode, words, show));
  slots.sort((a, b) => a.place - b.place);
  load();
  follow(reply.state);
}

/** Another tab of this rater has recorded something. */
function elsewhere(event) {
  note(event);
  if (!answered.has(event.place)) return;
  slots = slots.filter(({ place }) => place !== event.place);
  history = history.filter(({ slot }) => slot.place !== event.place);
  if (current?.place === event.place) current = null;
  show();
}

function follow(state) {
  const before = study.state;
  study.state = state;
  clearTimeout(poll);
  if (state === "open") {
    if (before !== "open" && !study.consented) welcome();
    else if (before !== "open") open();
    else show();
    if (slots.length) return;
  } else if (view !== state) {
    if (state === "paused") {
      panel(state, words.paused_title, [words.paused]);
    } else if (state === "ended") {
      panel(state, words.ended_title, [words.ended]);
    } else {
      finish();
    }
  }
  if (state === "open" || state === "paused") poll = setTimeout(study.consented ? () => answers.send() : look, POLL);
}

/** The state of a study that this rater hasn't agreed to take part in. */
async function look() {
  const response = await fetch("/api/study").catch(() => null);
  follow(response?.ok ? (await response.json()).state : study.state);
}

/* Panels: everything that isn't an image. */

function panel(name, title, paragraphs, buttons = []) {
  view = name;
  turned = performance.now();
  current = null;
  document.body.dataset.view = name;
  $("rate").hidden = true;
  $("panel").hidden = false;
  $("code").hidden = true;
  $("title").textContent = title;
  $("text").replaceChildren(...paragraphs.filter(Boolean).flatMap((text) => text.split(/\n\s*\n/)).map((text) =>
    Object.assign(document.createElement("p"), { textContent: text })));
  $("buttons").replaceChildren(...buttons.map(([label, action]) => {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: label });
    button.addEventListener("click", () => {
      if (performance.now() - turned >= TWICE) action(button);
    });
    return button;
  }));
  $("title").focus();
}

function welcome() {
  panel("welcome", study.study, [study.instructions, study.consent], [[words.agree, async (button) => {
    button.disabled = true;
    try {
      const response = await fetch("/api/consent", { method: "POST", headers: { "Content-Type": "application/json" }, body: "{}" });
      if (response.status === 401) return lost("link");
      if (response.status === 410) return follow("ended");
      if (!response.ok) throw new Error(response.status);
      if (await learn()) begin(); // now this rater has a name
    } catch {
      button.disabled = false;
      say($("notice").textContent = words.agree_failed);
    }
  }]]);
}

/** Back to the images. */
function open() {
  if (view !== "rate") {
    view = "rate";
    document.body.dataset.view = view;
    $("panel").hidden = true;
    $("rate").hidden = false;
    $("question").focus();
  }
  show();
}

function rest(done) {
  const left = study.progress.wanted - done;
  const buttons = [[words.go_on, open], [words.stop, stop], [words.undo, undo]];
  panel("rest", fill(words.rest_title, { done }), [fill(words.rest, { left })], buttons);
}

function stop() {
  panel("stop", words.stopped_title, [answers.number ? words.stopped_waits : words.stopped], [[words.go_on, open]]);
}

function finish() {
  const { code } = study;
  panel("done", words.done_title, [code ? words.done_code : words.done]);
  $("code").hidden = !code;
  $("code").firstChild.textContent = code;
}

function lost(why) {
  clearTimeout(poll);
  if (why === "cookies") panel("link", words.cookies_title, [words.cookies]);
  else if (why === "link") panel("link", words.link_title, [words.link]);
  else panel("link", words.other_link_title, [words.other_link]);
}

/* Progress, notices and keys. */

function showProgress() {
  const { wanted } = study.progress;
  const done = Math.max(0, Math.min(wanted, study.progress.answered + answers.gain));
  $("count").textContent = wanted ? fill(words.count, { done, wanted }) : `${done}`;
  $("bar").max = wanted || 1;
  $("bar").value = done;
  const { number, trouble, unkept } = answers;
  const waits = fill(words[`waits_${trouble === "server" ? "server_" : ""}${number === 1 ? "one" : "many"}`], { count: number });
  const text = !trouble || !number ? "" : unkept ? fill(words.unkept, { waits }) : waits;
  if ($("notice").textContent !== text) $("notice").textContent = text;
  if ("busy" in document.body.dataset) $("note").textContent = hint(slots[0]);
}

/** A text with numbers in place of the words in braces. */
function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

function showKeys() {
  $("keys").textContent = keysOn ? words.keys_on : words.keys_off;
}

function say(text) {
  $("live").textContent = text;
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const onButton = event.target.closest?.("button");
  const native = onButton && (event.key === "Enter" || event.key === " ");
  if (event.repeat) {
    if (native || KEYS.has(event.key.toLowerCase())) event.preventDefault();
  } else if (!native && keysOn && (view === "rate" || view === "rest")) {
    const button = KEYS.get(event.key.toLowerCase());
    if (!button || (view === "rest" && button !== $("undo"))) return;
    event.preventDefault();
    button.click();
  }
});
// A click leaves the focus where it was, so that Enter and space go on to mean "next" after one on an image.
$("rate").addEventListener("mousedown", (event) => event.preventDefault());
$("keys").addEventListener("click", () => {
  keysOn = !keysOn;
  showKeys();
});

start();
