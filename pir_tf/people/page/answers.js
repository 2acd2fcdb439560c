// The way of an answer to the database: kept in this browser first, sent in the background, and forgotten only when the
// server has said that it is stored or refused. Sending twice is harmless, for each event has an id of its own.

const ROOT = "pir_tf/";
const CURRENT = `${ROOT}rater`; // who rates in this browser now: the cookie belongs to this one
const ANSWERS = new Set(["like", "rating", "choice", "skip"]);
const MOST = 100; // events in one request; the server takes 200
const PATIENCE = 15000; // ms for one request, and the longest wait between two tries

/** A random UUID, also where the page comes by http from another machine and `crypto.randomUUID` is missing. */
export function newId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** Whether a refusal is the server's own: what stands between, a proxy or a hotel's network, says things of its own. */
async function isOurs(response) {
  try {
    const said = await response.json();
    return Object.keys(said).length === 1 && typeof said.error === "string";
  } catch {
    return false;
  }
}

/**
 * The events of one rater that the server doesn't have yet.
 *
 * Each is a key of its own in localStorage, under the rater's name, so neither two tabs nor two raters of one browser
 * overwrite each other. `on` has four callbacks: reply(reply, refused events), change(), elsewhere(event) for what another
 * tab records, and lost(why) once nothing can be sent any more: "link" or "rater".
 */
export class Answers {
  constructor(rater, ahead, on) {
    this.rater = rater;
    this.ahead = ahead;
    this.on = on;
    this.page = newId();
    this.started = Date.now();
    this.count = 0;
    this.waiting = new Map(); // uuid -> {order: [start of its page, number in it], event, kept}
    this.trouble = ""; // why the last try failed: "connection" or "server"
    this.tries = 0;
    this.notBefore = 0;
    this.most = MOST;
    this.prefix = `${ROOT}${rater}/`;
    this.claim();
    this.read();
    addEventListener("storage", (change) => this.changed(change));
    addEventListener("online", () => this.retry());
    addEventListener("pagehide", () => this.hand());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "hidden") this.hand();
      else this.retry();
    });
    addEventListener("beforeunload", (event) => {
      if ([...this.waiting.values()].some((entry) => !entry.kept)) event.preventDefault();
    });
  }

  /** Keeps an event and sends it in the background; returns its id. */
  record(place, kind, value) {
    const event = { uuid: newId(), place, kind, value, at: Math.round(performance.now() * 10) / 10, page: this.page };
    const entry = { order: [this.started, this.count++], event, kept: false };
    try {
      localStorage.setItem(this.prefix + event.uuid, JSON.stringify({ order: entry.order, event }));
      entry.kept = true;
    } catch {
      // Missing, forbidden or full: the memory of this page has to do, and `unkept` says so.
    }
    this.waiting.set(event.uuid, entry);
    // That images were seen can travel with the answer to them.
    if (kind === "visible") this.later(1500);
    else this.send();
    this.on.change();
    return event.uuid;
  }

  /** The events that wait, oldest first. */
  events() {
    const entries = [...this.waiting.values()];
    entries.sort((a, b) => a.order[0] - b.order[0] || a.order[1] - b.order[1]);
    return entries.map((entry) => entry.event);
  }

  /** How many answers wait: without those taken back before they were sent. */
  get number() {
    const events = this.events();
    const back = new Set(events.filter((event) => event.kind === "undo").map((event) => event.value));
    return events.filter((event) => ANSWERS.has(event.kind) && !back.has(event.uuid)).length;
  }

  /** By how much the waiting events will change the number of answers that the server knows. */
  get gain() {
    const undone = this.events().filter((event) => event.kind === "undo" && !this.waiting.has(event.value)).length;
    return this.number - undone;
  }

  /** How many events only the memory of this page holds. */
  get unkept() {
    return [...this.waiting.values()].filter((entry) => !entry.kept).length;
  }

  concerns(place) {
    return this.events().some((event) => event.place === place && event.kind !== "visible");
  }

  /** Sends what waits and asks for the next slots, one request at a time; goes on until nothing waits. */
  async send() {
    if (this.lost) return;
    if (this.sending) {
      this.again = true;
      return;
    }
    const early = this.notBefore - performance.now();
    if (early > 0) {
      this.later(early);
      return;
    }
    if (!this.mine()) {
      this.lose("rater");
      return;
    }
    clearTimeout(this.timer);
    this.timer = null;
    this.sending = true;
    this.again = false;
    const batch = this.events().slice(0, this.most);
    const wait = await this.post(batch);
    this.sending = false;
    if (wait) {
      this.notBefore = performance.now() + wait;
      this.later(wait);
    } else if (!this.lost && (this.again || this.events().some((event) => event.kind !== "visible"))) {
      this.send();
    } else if (this.waiting.size) {
      this.later(1500);
    }
    this.on.change();
  }

  /** One request; returns the ms to wait before the next, 0 for none. */
  async post(batch) {
    let response;
    try {
      response = await fetch(this.address(), {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ events: batch, ahead: this.ahead }),
        signal: AbortSignal.timeout?.(PATIENCE),
      });
      if (response.ok) {
        const reply = await response.json();
        this.most = MOST;
        const refused = reply.refused.map(({ uuid }) => this.waiting.get(uuid)?.event).filter(Boolean);
        const known = new Set([...reply.stored, ...reply.refused.map(({ uuid }) => uuid)]);
        known.forEach((uuid) => this.forget(uuid));
        this.on.reply(reply, refused);
        // A reply that knows none of the events, as a server between may give, is no reason to ask again at once.
        const unheard = batch.length > 0 && !batch.some(({ uuid }) => known.has(uuid));
        this.trouble = unheard ? "server" : "";
        if (unheard) return this.pause();
        this.tries = 0;
        return 0;
      }
    } catch {
      this.trouble = "connection";
      return this.pause();
    }
    const refused = await isOurs(response);
    if (refused && [401, 403].includes(response.status)) { // 403: this rater has withdrawn
      this.lose("link");
      return 0;
    }
    if ([400, 413, 422].includes(response.status) && batch.length) {
      // Something in it can't be taken: smaller parts find out what, and the rest gets through.
      if (refused && batch.length === 1) this.forget(batch[0].uuid);
      this.most = Math.max(1, Math.floor(batch.length / 2));
      if (refused) return 250;
    }
    this.trouble = "server";
    return Math.max(this.pause(), 1000 * Math.min(300, Number(response.headers.get("Retry-After")) || 0));
  }

  pause() {
    return Math.min(PATIENCE, 500 * 2 ** this.tries++) * (0.75 + Math.random() / 2);
  }

  /** Sends in so many ms, unless something is to be sent before. */
  later(ms) {
    this.timer ??= setTimeout(() => {
      this.timer = null;
      this.send();
    }, ms);
  }

  /** Tries now what failed for want of a connection; a server that asked to wait is left in peace. */
  retry() {
    this.read();
    if (this.trouble === "connection") this.notBefore = 0;
    this.send();
  }

  /** Hands over what waits as the page goes away. There is no reply to read, so it stays kept and is sent again. */
  hand() {
    const events = this.events();
    if (this.lost || !events.length || !this.mine()) return;
    for (let from = 0; from < events.length; from += MOST) {
      const body = JSON.stringify({ events: events.slice(from, from + MOST), ahead: 0 });
      if (!navigator.sendBeacon(this.address(), new Blob([body], { type: "application/json" }))) return;
    }
  }

  /** The rater's name goes along, so that a server can refuse what another rater's cookie would bring. */
  address() {
    return `/api/events?rater=${encodeURIComponent(this.rater)}`;
  }

  forget(uuid) {
    this.waiting.delete(uuid);
    try {
      localStorage.removeItem(this.prefix + uuid);
    } catch {
      // nothing is kept there
    }
  }

  lose(why) {
    this.lost = why;
    this.on.lost(why);
  }

  /** Reads what this or another tab has kept for this rater. */
  read() {
    try {
      for (const key of Object.keys(localStorage)) if (key.startsWith(this.prefix)) this.take(localStorage.getItem(key));
    } catch {
      // nothing is kept there
    }
  }

  take(text) {
    try {
      const { order, event } = JSON.parse(text);
      if (this.waiting.has(event.uuid)) return null;
      this.waiting.set(event.uuid, { order, event, kept: true });
      return event;
    } catch {
      return null; // not one of ours
    }
  }

  changed({ key, newValue }) {
    if (key === CURRENT && newValue && newValue !== this.rater) {
      if (!this.lost) this.lose("rater");
    } else if (key?.startsWith(this.prefix)) {
      if (newValue === null) {
        this.waiting.delete(key.slice(this.prefix.length));
      } else {
        const event = this.take(newValue);
        if (event) this.on.elsewhere(event);
        this.later(5000); // the other tab sends it, unless it has been closed
      }
      this.on.change();
    }
  }

  claim() {
    try {
      localStorage.setItem(CURRENT, this.rater);
    } catch {
      // then no other tab can tell either
    }
  }

  mine() {
    try {
      return (localStorage.getItem(CURRENT) ?? this.rater) === this.rater;
    } catch {
      return true;
    }
  }
}
