// What people do with the rating page. Each scenario gets the study's links and returns what the test compares with the database.
import assert from "node:assert/strict";
import { PAUSE, begin, notice, press, ready, source, stored, waiting } from "./steps.mjs";

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

/** The server hears of no event while two answers are given, and isn't pestered; the page is reloaded, and shows neither again. */
async function reload({ open, link }) {
  const page = await open();
  await page.addInitScript(() => (navigator.sendBeacon = () => false));
  await begin(page, link);
  const shown = [await press(page, "y")];
  await stored(page);
  let asked = 0;
  await page.route("**/api/events*", (route) => {
    asked += 1;
    return route.continue({ postData: JSON.stringify({ events: [], ahead: 6 }) }).catch(() => {});
  });
  shown.push(await press(page, "n"), await press(page, "y"));
  assert.ok((await waiting(page)) >= 2);
  await page.waitForTimeout(1500);
  assert.ok(asked >= 1 && asked <= 4, `asked ${asked} times`);
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

/** What stands between refuses as it likes, and nothing is forgotten for it. */
async function between({ open, link }) {
  const page = await open();
  await begin(page, link);
  await press(page, "y");
  await stored(page);
  for (const [status, json] of [[400], [403], [413, { message: "Request Entity Too Large" }]]) {
    const said = json ? { json } : { contentType: "text/html", body: "<h1>Not here</h1>" };
    await page.route("**/api/events*", (route) => route.fulfill({ status, ...said }));
    await press(page, "n");
    await page.waitForTimeout(1500);
  }
  assert.ok((await waiting(page)) >= 3);
  await page.unrouteAll();
  await stored(page);
  return { answers: [1, 0, 0, 0], count: await page.textContent("#count") };
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

/** The link in a mail brings the same rater back, with what was kept. */
async function mail({ open, ask, link }) {
  const page = await open();
  await begin(page, link);
  for (const key of ["y", "n", "y"]) await press(page, key);
  await stored(page);
  await ask("kill");
  await press(page, "n");
  await page.context().route("http://mail.example/", (route) =>
    route.fulfill({ contentType: "text/html", body: `<title>Mail</title><a href="${link}">rate</a>` }));
  await page.goto("http://mail.example/");
  await ask("start");
  await page.click("a");
  await ready(page);
  await stored(page);
  return { answers: [1, 0, 1, 0], count: await page.textContent("#count") };
}

/** In a language that is written from right to left the left arrow still answers for the image on the left. */
async function rtl({ open, link }) {
  const page = await open();
  await begin(page, link);
  assert.equal(await page.evaluate(() => document.documentElement.dir), "rtl");
  const lefts = (selector) => page.$$eval(selector, (found) => found.map((one) => one.getBoundingClientRect().left));
  for (const [first, second] of [await lefts("#cells > *"), await lefts("#choices :is(.left, .right)")]) assert.ok(first < second);
  await press(page, "ArrowLeft");
  await ready(page);
  await page.click("#cells > :last-child img");
  await stored(page);
  return { answers: ["left", "right"] };
}

/** Whoever has withdrawn is told so; the next rater of this browser has answers and images of their own. */
async function withdrawn({ open, ask, link }) {
  const page = await open();
  await begin(page, link);
  await press(page, "y");
  await stored(page);
  await ask("withdraw");
  await press(page, "n");
  await page.waitForSelector('[data-view="link"]');
  const again = await page.context().newPage();
  await begin(again, link);
  const shown = await source(again);
  await again.keyboard.press("y");
  await stored(again);
  assert.ok(shown);
  return { answers: [1] };
}

/** One image that a filter blocks: the others go on, the page says why there is nothing else, and it comes when it can. */
async function blocked({ open, link }) {
  const page = await open("phone");
  let [asked, bad] = [0, ""];
  await page.route("**/image/**", (route) => {
    const url = route.request().url();
    if (++asked === 3) bad = url;
    return url === bad ? route.abort("blockedbyclient") : route.continue();
  });
  await begin(page, link);
  for (let k = 0; k < 6; k++) {
    await ready(page);
    assert.ok(!bad.endsWith(await source(page)));
    await page.tap(k === 2 ? ".dislike" : ".like");
  }
  await page.route("**/image/**", (route) => route.abort("blockedbyclient"));
  for (let k = 0; k < 40 && !(await page.textContent("#note")); k++) {
    if (await page.$("body:not([data-busy])")) await page.tap("#skip");
    await page.waitForTimeout(PAUSE);
  }
  const note = await page.textContent("#note");
  await page.unrouteAll({ behavior: "ignoreErrors" });
  await ready(page); // any of them, by when each is tried again
  for (let k = 0; k < 40 && !bad.endsWith(await source(page)); k++) {
    await page.tap("#skip");
    await ready(page);
  }
  await page.tap(".dislike");
  await stored(page);
  return { note };
}

/** A browser that keeps no cookies. */
async function cookies({ open, link }) {
  const page = await open();
  await page.route("**/api/study", (route) => route.fulfill({ status: 401, json: { error: "Open the link that you were given." } }));
  await page.goto(link);
  await page.waitForSelector('[data-view="link"]');
  return { title: await page.textContent("#title") };
}

/** Agreeing when it is too late. */
async function late({ open, ask, link }) {
  const page = await open();
  await page.goto(link);
  await page.waitForSelector('[data-view="welcome"]');
  await page.waitForTimeout(PAUSE);
  await ask("end");
  await page.click("#buttons button");
  await page.waitForSelector('[data-view="ended"]');
  return {};
}

export const answering = { mail, rtl, withdrawn, late, blocked, cookies, keys, taps, gridKeys, undo, offline, restart, reload, leave, tabs, raters, poor, between, end };
