// What is on the pages: words, the owner's view, zoom, accessibility, and how soon the next image is there.
import assert from "node:assert/strict";
import { PAUSE, begin, press, ready, stored } from "./steps.mjs";

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
  const close = async () => {
    await page.click("#close");
    await page.click("#sure");
  };
  await close(); // of seven images nothing could be learnt
  await page.waitForFunction(() => document.getElementById("stale").textContent.includes("fewer than 10"));
  await page.waitForTimeout(2500);
  assert.match(await page.textContent("#stale"), /That was not done: .* 7 images/); // longer than one look
  assert.equal(await page.textContent("#state"), "Open");
  for (const key of ["n", "n", "y"]) await press(rater, key);
  await stored(rater);
  await close();
  await page.waitForFunction(() => document.getElementById("state").textContent === "Round closed");
  assert.ok(await page.isHidden("#actions"));
  return { answers: [1, 0, 1, 1, 0, 1, 1, 0, 0, 1] };
}

/** A database that is away is said on the owner's page until it is back, and no answer is lost. */
async function refused({ open, ask, link, ownerLink }) {
  const [page, rater] = [await open(), await open("phone")];
  await page.goto(ownerLink);
  await page.waitForSelector("#main:not([hidden])");
  await begin(rater, link);
  await press(rater, "y");
  await stored(rater);
  await ask("take_away");
  for (const key of ["n", "y"]) await press(rater, key);
  // What it knew before is told for a moment more, with the answers that aren't stored; then that nothing can be read either.
  const reads = () => /moved or replaced: put it back/.test(document.getElementById("stale").textContent);
  await page.waitForFunction(reads, null, { timeout: 30000 });
  await ask("bring_back");
  await stored(rater);
  await page.waitForFunction(() => !document.getElementById("stale").textContent, null, { timeout: 30000 });
  return { answers: 3 };
}

/** Two studies of one server in two tabs: each page acts on its own, after a reload too. */
async function owners({ open, ownerLinks }) {
  const page = await open();
  const pages = [page, await page.context().newPage()];
  for (const [k, one] of pages.entries()) {
    await one.goto(ownerLinks[k]);
    await one.waitForSelector("#main:not([hidden])");
  }
  await pages[0].waitForTimeout(2500); // a look later
  await pages[0].reload();
  await pages[0].waitForSelector("#main:not([hidden])");
  await pages[0].click("#pause");
  await pages[0].waitForFunction(() => document.getElementById("state").textContent === "Paused");
  await pages[1].waitForTimeout(2500);
  return { names: await Promise.all(pages.map((one) => one.textContent("#study"))), states: await Promise.all(pages.map((one) => one.textContent("#state"))) };
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
        sideways: root.scrollWidth - root.clientWidth, // innerWidth grows with what is too wide
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

export const looking = { owners, words, owner, refused, zoom, axeRules, fast };
