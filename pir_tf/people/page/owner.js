// The owner's page: what there is, who answers, what is missing, and how long it takes, looked up every two seconds.

const $ = (id) => document.getElementById(id);
const EVERY = 2000; // ms between two looks
const STATES = { open: "Open", paused: "Paused", closed: "Round closed", ended: "Ended" };
const SHARES = { like: "Liked", pair: "Left", rating: "Commonest", grid: "Commonest" }; // which answer a rater's share is of
const shown = new Map(); // what a part of the page shows now, so that nothing is redrawn without need
const pictures = new Map(); // id of an image -> its element, which isn't loaded again
const study = document.body.dataset.study || new URLSearchParams(location.search).get("study") || "";
const named = study ? `?study=${encodeURIComponent(study)}` : ""; // other studies may be open in this browser
let status = null;
let timer = null;
let heard = null;
let refused = { text: "", until: 0 }; // why the last action was not done, said for a while

/* Elements and numbers in words. */

function make(tag, className, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children.filter((child) => child !== null));
  return node;
}

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
const number = (value, digits = 0) =>
  isNumber(value) ? value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }) : "–";
const percent = (value) => (isNumber(value) ? `${Math.round(100 * value)}%` : "–");

function large(value) {
  if (!isNumber(value)) return "–";
  if (value >= 1e6 || (value > 0 && value < 0.01)) return value.toExponential(1).replace("e+", "e");
  return number(value, value < 100 ? 2 : 0);
}

function duration(minutes) {
  if (!isNumber(minutes)) return "–";
  if (minutes < 1) return "under a minute";
  if (minutes < 90) return `${Math.round(minutes)} min`;
  if (minutes < 48 * 60) return `${number(minutes / 60, 1)} h`;
  return `${Math.round(minutes / 1440)} days`;
}

/** Draws a part of the page if its data have changed; a selection or the place in a table stays otherwise. */
function draw(id, data, render) {
  const text = JSON.stringify(data);
  if (shown.get(id) === text) return;
  shown.set(id, text);
  $(id).replaceChildren(...render(data).filter((node) => node !== null));
}

function facts(pairs) {
  return pairs.map(([name, value, more]) =>
    make("div", "", make("dt", "", name), make("dd", "", value, more ? make("small", "", more) : null)));
}

function table(caption, heads, rows) {
  const head = make("tr", "", ...heads.map(([name, className]) => {
    const cell = make("th", className, name);
    cell.scope = "col";
    return cell;
  }));
  const body = rows.map((cells) => make("tr", "", ...cells.map((cell, k) => {
    const node = make(k ? "td" : "th", heads[k][1], cell);
    if (!k) node.scope = "row";
    return node;
  })));
  const whole = make("table", "", make("caption", "hidden", caption), make("thead", "", head), make("tbody", "", ...body));
  const scroller = make("div", "scroller", whole);
  scroller.tabIndex = 0; // a keyboard can scroll it
  scroller.setAttribute("role", "region");
  scroller.setAttribute("aria-label", caption);
  return scroller;
}

/* The parts. */

function render() {
  const { state } = status;
  document.title = `${status.study} – ${STATES[state] ?? state}`;
  $("study").textContent = status.study;
  $("about").textContent = `Round ${status.round} · ${status.question}`;
  if ($("state").textContent !== (STATES[state] ?? state)) $("state").textContent = STATES[state] ?? state;
  $("state").dataset.state = state;
  $("main").hidden = false;
  $("actions").hidden = !["open", "paused"].includes(state);
  $("pause").textContent = state === "paused" ? "Resume" : "Pause";
  $("asked").textContent = `Close round ${status.round}?`;
  $("link").hidden = state === "ended";
  $("address").value = status.link ?? "";
  const here = status.pools.filter((pool) => pool.round === status.round);
  const sum = (name) => here.reduce((total, pool) => total + (pool[name] ?? 0), 0);
  const times = state === "ended" ? null : [status.pace_per_hour, status.minutes_left];
  draw("numbers", [sum("answers"), sum("wanted"), times, status.raters.length, sum("skipped"), sum("unanswered")],
    ([answers, wanted, times, raters, skipped, unanswered]) => facts([
      ["Answers", number(answers), wanted ? `of ${number(wanted)} in this round` : "in this round"],
      ...(times ? paces(times, answers) : []),
      ["Raters", number(raters)],
      ["Skipped", number(skipped), `${number(unanswered)} shown, not answered`],
    ]));
  draw("pools", [status.pools, state], ([rows, state]) => pools(rows, state));
  draw("evalue", [status.e_value, status.e_needed, ["open", "paused"].includes(state)], evidence);
  draw("agree", [status.alpha, status.one_predicts_the_others], ([alpha, one]) => facts([
    ["Krippendorff's alpha", number(alpha, 2), isNumber(alpha) ? "1 is agreement, 0 is chance" : "after images shared by raters"],
    ["One predicts the others", number(one, 2), "correlation: what an estimator can hope for"],
  ]));
  const own = status.own_page;
  $("own").hidden = !own;
  if (own) draw("sent", own, ({ handed, events }) => sent(handed, events));
  if (own) draw("rules", own.rules, liked);
  draw("raters", status.raters, raters);
  draw("sorted", status.images, images);
}

function paces([pace, left], answers) {
  const none = answers ? "few answers in the last 10 minutes" : "after the first answers";
  return [["Pace", isNumber(pace) ? `${number(pace)}/h` : "–", isNumber(pace) ? "" : none],
    ["Time left", duration(left), isNumber(left) ? "at this pace" : ""]];
}

/** What a team's own page has sent, by kind. */
function sent(handed, { visible = 0, click = 0, dwell = 0, share = 0, ...more }) {
  const others = Object.entries(more).map(([kind, count]) => [kind[0].toUpperCase() + kind.slice(1), number(count)]);
  return facts([["Images taken", number(handed)], ["Seen", number(visible)], ["Clicks", number(click)],
    ["Times looked at", number(dwell)], ["Shares", number(share)], ...others]);
}

function liked(rows) {
  if (!rows.length) return [make("p", "soft", "Events by kind. What counts as liked is said by the run that asks.")];
  const heads = [["Pool"], ["Liked", "n"], ["Seen", "n"], ["PIR", "n"]];
  const rules = [...new Set(rows.map((row) => row.rule))];
  return [...rules.map((rule) => make("p", "soft", rule)), table("Your own page", heads,
    rows.map((row) => [`${row.round} ${row.pool}`, number(row.liked), number(row.seen), number(row.rate, 2)]))];
}

function pools(rows, state) {
  if (!rows.length) return [make("p", "soft", "No images have been given to this study yet.")];
  const heads = [["Pool"], ["State"], ["Answers", "n"], ["Progress", "wide"], ["Images", "n"], ["Skipped", "n"], ["Unanswered", "n"]];
  const explored = rows.some((pool) => pool.pool === "explore");
  const words = "random: drawn by chance, as the round's PIR needs. explore: drawn where the estimator is least sure, to learn from alone.";
  return [table("Pools", heads,
    rows.map((pool) => {
      const max = pool.wanted; // 0 where a pool takes answers until it is closed
      const bar = max ? Object.assign(document.createElement("progress"), { max, value: Math.min(pool.answers, max) }) : "";
      if (max) bar.setAttribute("aria-label", `Answers of ${pool.pool}, round ${pool.round}`);
      const word = pool.state === "open" && state === "paused" ? "paused" : pool.state;
      return [`${pool.round} ${pool.pool}`, word, `${number(pool.answers)}${max ? ` / ${number(max)}` : ""}`, bar,
        number(pool.images), number(pool.skipped), number(pool.unanswered)];
    })), explored ? make("p", "soft", words) : null];
}

/** The e-value on a log scale from 1/10 to ten times what is needed; outside it stands at the end. */
function evidence([value, needed, asking]) {
  if (!isNumber(value) || !isNumber(needed)) {
    return [make("p", "big", "–"), make("p", "soft", "After the first answers of a proof. It says when asking may stop.")];
  }
  const span = Math.log10(needed) + 2;
  const at = (x) => Math.min(1, Math.max(0, (Math.log10(Math.max(x, 1e-300)) + 1) / span));
  const fill = make("span", "fill");
  fill.style.width = `${100 * at(value)}%`;
  const marks = [[1, "1: none"], [needed, `${large(needed)} needed`]].map(([x, text]) => {
    const mark = make("span", "mark", make("span", "", text));
    mark.style.left = `${100 * at(x)}%`;
    return mark;
  });
  const scale = make("div", "scale", fill, ...marks);
  scale.setAttribute("role", "img");
  scale.setAttribute("aria-label", `e-value ${large(value)} of ${large(needed)} needed, on a logarithmic scale`);
  const more = value >= needed ? "Enough: asking can stop early." : `${large(needed / Math.max(value, 1e-300))} times more is enough to stop early.`;
  const said = make("p", "soft", asking ? `${more} A proof that is closed then has its p from it.` : "Asking has ended: the result is in the study's report.");
  return [make("p", "big", large(value), make("small", "", " e-value")), scale, said];
}

function raters(rows) {
  if (!rows.length) return [make("p", "soft", "Nobody has answered yet: send the link above to the raters.")];
  const flagged = rows.filter((row) => row.flags.length).length;
  const honest = "Nobody is left out in silence: the report shows results with and without them.";
  const note = flagged ? `${flagged} of ${rows.length} flagged. ${honest}` : "None flagged.";
  const heads = [["Rater"], ["Flags", "flags"], ["Answers", "n"], [SHARES[status.mode] ?? "Share", "n"], ["Median time", "n"], ["Repeats alike", "n"]];
  return [make("p", "soft", note), table("Raters", heads,
    rows.map((row) => [row.rater, make("span", "", ...row.flags.map((flag) => make("span", "flag", flag))), number(row.answers),
      percent(row.share), isNumber(row.median_seconds) ? `${number(row.median_seconds, 1)} s` : "–",
      row.repeats ? `${row.repeats_same} of ${row.repeats}` : "–"]))];
}

function images(rows) {
  const distinct = [...new Map(rows.map((row) => [row.id, row])).values()].sort((a, b) => (b.pir ?? 0) - (a.pir ?? 0));
  if (!distinct.length) return [make("p", "soft", "After the first answers.")];
  const half = Math.ceil(distinct.length / 2);
  for (const id of pictures.keys()) if (!distinct.some((row) => row.id === id)) pictures.delete(id);
  return [["Best", distinct.slice(0, half)], ["Worst", distinct.slice(half).reverse()]].filter(([, some]) => some.length)
    .flatMap(([title, some]) => [make("h3", "", title), make("ul", "tiles", ...some.map(tile))]);
}

function tile(row) {
  if (!pictures.has(row.id)) pictures.set(row.id, Object.assign(new Image(), { src: row.src, alt: `Image ${row.id}`, loading: "lazy" }));
  const line = make("span", "line", make("span", "range"), make("span", "dot"));
  if (isNumber(row.low) && isNumber(row.high)) {
    line.firstChild.style.left = `${100 * row.low}%`;
    line.firstChild.style.width = `${100 * (row.high - row.low)}%`;
  }
  if (isNumber(row.pir)) line.lastChild.style.left = `${100 * row.pir}%`;
  const counts = `${number(row.positives, row.positives % 1 ? 1 : 0)} of ${number(row.impressions, row.impressions % 1 ? 1 : 0)}`;
  const item = make("li", "", pictures.get(row.id), make("strong", "", number(row.pir, 2)), make("span", "soft", counts), line,
    make("span", "soft", `${number(row.low, 2)} to ${number(row.high, 2)}`));
  item.title = `${row.id} (${row.pool})`;
  return item;
}

/* Talking to the server. */

async function look(path = "/api/owner/status", method = "GET") {
  clearTimeout(timer);
  try {
    const more = method === "POST" ? { headers: { "Content-Type": "application/json" }, body: "{}" } : {};
    const response = await fetch(path + named, { method, signal: AbortSignal.timeout?.(15000), ...more });
    if (response.status === 401) {
      $("study").textContent = "The owner's page";
      stale("Open the owner's link in this browser: without it this page isn't allowed in.");
      return;
    }
    const reply = await response.json();
    if (!response.ok) throw Object.assign(new Error(reply.error), { said: Boolean(reply.error) });
    status = reply;
    heard = new Date();
    if (method === "POST") refused.until = 0;
    stale(Date.now() < refused.until ? refused.text : refusing(reply.refusing), false);
    render();
  } catch (error) {
    const since = heard ? ` since ${heard.toLocaleTimeString()}` : "";
    if (method === "POST") {
      refused = { text: `That was not done: ${(error.message || "no connection").replace(/\.$/, "")}.`, until: Date.now() + 20000 };
      stale(refused.text, false);
    } else stale(error.said ? error.message : `No answer from the server${since}. This page tries again by itself.`);
  }
  timer = setTimeout(look, document.visibilityState === "visible" ? EVERY : 10 * EVERY);
}

/** That answers aren't stored, and why. */
function refusing(found) {
  if (!found) return "";
  const since = new Date(1000 * found.since).toLocaleTimeString();
  return `No answer has been stored since ${since}: ${found.why.replace(/\.$/, "")}. Raters' pages keep theirs, and send them again.`;
}

function stale(text, old = Boolean(text)) {
  if ($("stale").textContent !== text) $("stale").textContent = text;
  document.body.classList.toggle("old", old);
}

async function act(button, what) {
  button.disabled = true;
  await look(`/api/owner/${what}`, "POST");
  button.disabled = false;
}

$("pause").addEventListener("click", () => act($("pause"), status.state === "paused" ? "resume" : "pause"));
$("close").addEventListener("click", () => {
  $("ask").returnValue = "";
  $("ask").showModal();
});
$("ask").addEventListener("close", () => {
  if ($("ask").returnValue === "close") act($("close"), "close");
});
$("copy").addEventListener("click", async () => {
  $("address").select();
  try {
    await navigator.clipboard.writeText($("address").value);
  } catch {
    document.execCommand("copy"); // by http from another machine there is no clipboard
  }
  $("copy").textContent = "Copied";
  setTimeout(() => ($("copy").textContent = "Copy"), 1500);
});
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") look();
});
if (location.pathname !== "/owner") window.history.replaceState(null, "", `/owner${named}`);
look();
