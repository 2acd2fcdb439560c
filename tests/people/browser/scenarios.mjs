// What people do with the rating page. Each scenario gets the study's links and returns what the test compares with the database.
import assert from "node:assert/strict";

const PAUSE = 230; // ms: the page takes no answer sooner than 200 after an image is painted

/** Opens the raters' link, agrees, and waits for the first image. */
async function begin(page, link) {
  await page.goto(link);
  await page.waitForSelector('[data-view="welcome"]');
  await page.waitForTimeout(PAUSE);
  await page.click("#buttons button");
  await ready(page);
}

/** Waits until the page takes an answer to what it shows. */
async function ready(page) {
  await page.waitForSelector('[data-view="rate"]:not([data-busy]) #stage[aria-busy="false"] img');
  await page.waitForTimeout(PAUSE);
}

const source = (page) => page.$eval("#cells img", (image) => image.getAttribute("src"));
const notice = (page) => page.textContent("#notice");
const waiting = (page) => page.evaluate(() => Object.keys(localStorage).filter((key) => /^pir_tf\/.+\//.test(key)).length);

/** Waits until the server has everything of this browser's rater. */
async function stored(page) {
  const none = () => !Object.keys(localStorage).some((key) => key.startsWith(`pir_tf/${localStorage["pir_tf/rater"]}/`));
  await page.waitForFunction(none, null, { timeout: 30000, polling: 100 });
}

async function press(page, key) {
  await ready(page);
  const before = await source(page);
  await page.keyboard.press(key);
  return before;
}

async function keys({ open, link }) {
  const page = await open();
  await begin(page, link);
  const shown = [];
  for (const key of ["ArrowRight", "ArrowLeft", "y", "n", "s", "2", "1"]) shown.push(await press(page, key));
  assert.equal(new Set(shown).size, 7);
  // A key that is held down, and one pressed before the image can have been seen, answer once.
  await ready(page);
  await page.keyboard.down("y");
  await page.keyboard.down("y");
  await page.waitForTimeout(PAUSE);
  await page.keyboard.down("y");
  await page.keyboard.up("y");
  await ready(page);
  await page.keyboard.press("y");
  await page.keyboard.press("y");
  // With a modifier it is the browser's.
  await ready(page);
  await page.keyboard.press("Control+y");
  await page.click("#keys");
  await page.keyboard.press("y");
  await stored(page);
  return { answers: [1, 0, 1, 0, null, 1, 0, 1, 1], count: await page.textContent("#count") };
}

async function taps({ open, link, mode }) {
  const page = await open("phone");
  await begin(page, link);
  const tap = async (selector) => {
    await ready(page);
    await page.tap(selector);
  };
  if (mode === "like") {
    await tap(".like");
    await tap(".dislike");
    await tap("#skip");
    await ready(page);
    await page.tap(".like");
    await page.tap(".like"); // a double tap
    await stored(page);
    return { answers: [1, 0, null, 1] };
  }
  if (mode === "rating") {
    for (const k of [1, 5, 3]) await tap(`.rating${k}`);
    await stored(page);
    return { answers: [1, 5, 3] };
  }
  if (mode === "pair") {
    for (const name of [".left", ".right", ".tie", ".bad"]) await tap(name);
    await tap("#cells > :first-child img");
    await tap("#cells > :last-child img");
    await stored(page);
    return { answers: ["left", "right", "tie", "bad", "left", "right"] };
  }
  for (const cells of [[0, 4, 8], [], [2, 5]]) {
    await ready(page);
    for (const k of cells) await page.tap(`#cells > :nth-child(${k + 1})`);
    if (cells.length === 2) {
      await page.tap("#cells > :nth-child(9)");
      await page.tap("#cells > :nth-child(9)"); // and back
    }
    await page.tap(".next");
  }
  await stored(page);
  return { answers: [[0, 4, 8], [], [2, 5]] };
}

/** The grid by keys; and by Tab and space, as a screen reader's user goes. */
async function gridKeys({ open, link }) {
  const page = await open();
  await begin(page, link);
  await ready(page);
  for (const key of ["1", "9", "Enter"]) await page.keyboard.press(key);
  await ready(page);
  await page.click("#cells > :nth-child(3)");
  await page.keyboard.press(" "); // after a click too, space is "next"
  await ready(page);
  await page.focus("#cells > :nth-child(2)");
  await page.keyboard.press(" ");
  assert.equal(await page.getAttribute("#cells > :nth-child(2)", "aria-pressed"), "true");
  await page.focus(".next");
  await page.keyboard.press("Enter");
  await stored(page);
  return { answers: [[0, 8], [2], [1]] };
}

async function undo({ open, link }) {
  const page = await open();
  await begin(page, link);
  const shown = [await press(page, "y"), await press(page, "y"), await press(page, "n")];
  await ready(page);
  await page.keyboard.press("u");
  assert.equal(await source(page), shown[2]);
  await ready(page);
  await page.keyboard.press("Backspace");
  assert.equal(await source(page), shown[1]);
  for (const key of ["n", "s"]) await press(page, key);
  await ready(page);
  await stored(page);
  return { answers: [1, 0, null], undone: 2, count: await page.textContent("#count") };
}

async function offline({ open, link }) {
  const page = await open("phone");
  await begin(page, link);
  await press(page, "y");
  await stored(page);
  await page.context().setOffline(true);
  for (const key of ["n", "y", "n"]) await press(page, key);
  await ready(page);
  await page.waitForFunction(() => document.getElementById("notice").textContent.startsWith("3 answers wait for the connection"));
  assert.ok((await waiting(page)) >= 3);
  await page.context().setOffline(false);
  await stored(page);
  assert.equal(await notice(page), "");
  await press(page, "y");
  await stored(page);
  return { answers: [1, 0, 1, 0, 1] };
}

/** The server is killed, three answers are given, it comes back, and two more. */
async function restart({ open, link, ask }) {
  const page = await open();
  await begin(page, link);
  for (const key of ["y", "n"]) await press(page, key);
  await ask("kill");
  for (const key of ["y", "y", "n"]) await press(page, key);
  await page.waitForFunction(() => /^\d answers wait for the connection/.test(document.getElementById("notice").textContent));
  await ask("start");
  await stored(page);
  for (const key of ["n", "y"]) await press(page, key);
  await stored(page);
  return { answers: [1, 0, 1, 1, 0, 0, 1] };
}

/** The server takes no events while two answers are given; the page is reloaded, and shows neither again. */
async function reload({ open, link }) {
  const page = await open();
  await page.addInitScript(() => (navigator.sendBeacon = () => false));
  await begin(page, link);
  const shown = [await press(page, "y")];
  await stored(page);
  await page.route("**/api/events*", (route) => route.continue({ postData: JSON.stringify({ events: [], ahead: 6 }) }));
  shown.push(await press(page, "n"), await press(page, "y"));
  assert.ok((await waiting(page)) >= 2);
  await page.reload();
  await ready(page);
  assert.ok(!shown.includes(await source(page)));
  assert.equal(new URL(page.url()).pathname, "/");
  await page.unroute("**/api/events*");
  shown.push(await press(page, "n"));
  await stored(page);
  assert.equal(new Set(shown).size, 4);
  return { answers: [1, 0, 1, 0] };
}

/** The last answer, and the page left in the same moment. */
async function leave({ open, link }) {
  const page = await open();
  await begin(page, link);
  await press(page, "y");
  await stored(page);
  await page.route("**/api/events*", (route) => (route.request().resourceType() === "ping" ? route.continue() : route.abort()));
  await press(page, "n");
  await page.goto("about:blank");
  await page.waitForTimeout(500);
  return { answers: [1, 0] };
}

async function tabs({ open, link }) {
  const one = await open();
  await begin(one, link);
  const two = await one.context().newPage();
  await two.goto(link);
  await ready(two);
  const shown = [await source(one)];
  assert.equal(await source(two), shown[0]);
  for (const [page, key] of [[one, "y"], [two, "n"], [two, "y"], [one, "n"]]) {
    await page.bringToFront();
    shown.push(await press(page, key));
  }
  await stored(one);
  await stored(two);
  assert.equal(new Set(shown).size, 4);
  return { answers: [1, 0, 1, 0] };
}

/** A second rater opens a link in the same browser while the first one's answers wait. */
async function raters({ open, link }) {
  const one = await open();
  await begin(one, `${link}?rater=one`);
  await press(one, "y");
  await stored(one);
  await one.route("**/api/events*", (route) => route.abort());
  await press(one, "n");
  const two = await one.context().newPage();
  await begin(two, `${link}?rater=two`);
  await one.waitForSelector('[data-view="link"]', { state: "attached" });
  await one.unroute("**/api/events*");
  await press(two, "n");
  await stored(two);
  assert.ok((await waiting(two)) >= 1); // the first one's, untouched
  // As the second one's page is left with an answer that waits, the cookie is the first one's already.
  await two.route("**/api/events*", (route) => (route.request().resourceType() === "ping" ? route.continue() : route.abort()));
  await press(two, "y");
  await two.goto(`${link}?rater=one`);
  await two.unroute("**/api/events*");
  await ready(two);
  await stored(two);
  await two.goto(`${link}?rater=two`);
  await ready(two);
  await stored(two);
  return { raters: [[1, 0], [0, 1]] };
}

/** No localStorage to speak of, and no randomUUID, as by http from another machine. */
async function poor({ open, link }) {
  const page = await open();
  await page.addInitScript(() => {
    Storage.prototype.setItem = () => {
      throw new DOMException("full", "QuotaExceededError");
    };
    delete Crypto.prototype.randomUUID;
  });
  await begin(page, link);
  await press(page, "y");
  await page.waitForTimeout(500);
  await page.route("**/api/events*", (route) =>
    route.fulfill({ status: 503, headers: { "Retry-After": "1" }, json: { error: "later" } }));
  await press(page, "n");
  const text = "1 answer waits for the server: keep this page open";
  await page.waitForFunction((expected) => document.getElementById("notice").textContent === expected, text);
  await page.unroute("**/api/events*");
  await page.waitForFunction(() => document.getElementById("notice").textContent === "");
  return { answers: [1, 0] };
}

/** Four answers with a natural end after two: go on, the end, the code. */
async function end({ open, link }) {
  const page = await open("phone");
  await begin(page, link);
  await press(page, "y");
  await press(page, "n");
  await page.waitForSelector('[data-view="rest"]');
  assert.equal(await page.textContent("#title"), "2 done");
  await page.waitForTimeout(PAUSE);
  await page.tap("#buttons button:nth-child(2)");
  await page.waitForSelector('[data-view="stop"]');
  await page.waitForTimeout(PAUSE);
  await page.tap("#buttons button");
  await press(page, "y");
  await press(page, "n");
  await page.waitForSelector('[data-view="done"]');
  return { answers: [1, 0, 1, 0], code: await page.textContent("#code") };
}

/** Names and words of a study are shown as they are written, and the address bar has no token. */
async function words({ open, link }) {
  const page = await open();
  await page.goto(link);
  await page.waitForSelector('[data-view="welcome"]');
  const title = await page.textContent("#title");
  await page.waitForTimeout(PAUSE);
  await page.click("#buttons button");
  await ready(page);
  assert.equal(await page.evaluate(() => window.hit), undefined);
  assert.equal(new URL(page.url()).pathname, "/");
  const [question, like] = [await page.textContent("#question"), await page.textContent(".like span")];
  return { title, question, like, images: await page.$$eval("img", (found) => found.length) };
}

async function owner({ open, link, ownerLink }) {
  const page = await open();
  await page.goto(ownerLink);
  await page.waitForSelector("#main:not([hidden])");
  assert.equal(await page.textContent("#state"), "Open");
  assert.equal(await page.inputValue("#address"), link);
  const rater = await open("phone");
  await begin(rater, link);
  for (const key of ["y", "n", "y", "y", "n", "y"]) await press(rater, key);
  await stored(rater);
  const six = () => document.querySelector("#numbers dd").textContent.startsWith("6");
  await page.waitForFunction(six, null, { timeout: 30000 });
  await page.waitForSelector(".tiles img");
  await page.click("#pause");
  await page.waitForFunction(() => document.getElementById("state").textContent === "Paused");
  await press(rater, "y");
  await rater.waitForSelector('[data-view="paused"]');
  await page.click("#pause");
  await rater.waitForSelector('[data-view="rate"]');
  await page.click("#close");
  await page.click("#ask button"); // keep it open
  await page.waitForTimeout(300);
  assert.equal(await page.textContent("#state"), "Open");
  await page.click("#close");
  await page.click("#sure");
  await page.waitForFunction(() => document.getElementById("state").textContent === "Round closed");
  assert.ok(await page.isHidden("#actions"));
  return { answers: [1, 0, 1, 1, 0, 1, 1] };
}

/** At 200% zoom nothing is cut off sideways, every button can be reached, and the image is still one. */
async function zoom({ open, link }) {
  const found = [];
  for (const size of ["zoomed", "small", "phone", "desktop"]) {
    const page = await open(size);
    await begin(page, `${link}?rater=${size}`);
    found.push(await page.evaluate((name) => {
      const root = document.scrollingElement;
      const boxes = [...document.querySelectorAll("#answers button")].map((button) => button.getBoundingClientRect());
      const image = document.querySelector("#cells img").getBoundingClientRect();
      return {
        size: name,
        sideways: root.scrollWidth - innerWidth,
        below: Math.max(...boxes.map((box) => box.bottom)) - root.scrollHeight,
        smallest: Math.min(...boxes.map((box) => Math.min(box.width, box.height))),
        image: Math.min(image.width, image.height),
      };
    }, size));
  }
  return { found };
}

/** Every state by axe's rules, in light and dark. */
async function axeRules({ open, link, ownerLink, axe }) {
  const violations = [];
  const states = [];
  const check = async (page, name) => {
    await page.addScriptTag({ path: axe });
    const rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
    const result = await page.evaluate((runOnly) => window.axe.run({ runOnly }), rules);
    states.push(name);
    for (const { id, nodes } of result.violations) violations.push(`${name}: ${id}: ${nodes[0].html.slice(0, 120)}`);
  };
  for (const [size, colorScheme] of [["desktop", "light"], ["phone", "dark"]]) {
    const page = await open(size, { colorScheme, bypassCSP: true });
    const rater = `${link}?rater=${size}`;
    await page.goto(rater);
    await page.waitForSelector('[data-view="welcome"]');
    await check(page, `welcome ${size}`);
    await begin(page, rater);
    await check(page, `rate ${size}`);
    for (const key of ["Enter", "Enter", "y", "y", "1", "1", "1"]) {
      if ((await page.getAttribute("body", "data-view")) === "rate") await press(page, key);
    }
    await page.waitForSelector('[data-view="rest"]');
    await check(page, `rest ${size}`);
    const owner = await open(size, { colorScheme, bypassCSP: true });
    await owner.goto(ownerLink);
    await owner.waitForSelector("#main:not([hidden])");
    await check(owner, `owner ${size}`);
    await owner.click("#close");
    await check(owner, `asked ${size}`);
    const stranger = await open(size, { colorScheme, bypassCSP: true });
    await stranger.goto(new URL("/", link).href);
    await stranger.waitForSelector('[data-view="link"]');
    await check(stranger, `link ${size}`);
  }
  return { violations, states };
}

/** From the key to the next image on the screen, by the browser's own Event Timing; and that the image changes with the key. */
async function fast({ open, link, count }) {
  const page = await open();
  await begin(page, link);
  await page.evaluate(() => {
    window.took = [];
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) if (entry.name === "keydown") window.took.push(entry.duration);
    }).observe({ type: "event", durationThreshold: 16, buffered: false });
    window.late = 0;
    addEventListener("keydown", () => {
      const before = document.querySelector("#cells img").getAttribute("src");
      queueMicrotask(() => setTimeout(() => (window.late += document.querySelector("#cells img").getAttribute("src") === before)));
    }, { capture: true });
  });
  for (let k = 0; k < count; k++) await press(page, k % 2 ? "y" : "n");
  await stored(page);
  await page.waitForTimeout(300);
  const { took, late } = await page.evaluate(() => ({ took: window.took, late: window.late }));
  // Those under 16 ms aren't reported.
  const all = [...Array(Math.max(0, count - took.length)).fill(8), ...took].sort((a, b) => a - b);
  const [p50, p95, most] = [all[Math.floor(count / 2)], all[Math.ceil(0.95 * count) - 1], all.at(-1)];
  return { p50, p95, most, late, answers: Array.from({ length: count }, (_, k) => k % 2) };
}

export const scenarios = {
  keys, taps, gridKeys, undo, offline, restart, reload, leave, tabs, raters, poor, end, words, owner, zoom, axeRules, fast,
};
