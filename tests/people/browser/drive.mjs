// Runs one named scenario in Chromium and prints what it found as one line of JSON. The test that started it answers on
// standard input what is asked on standard output: to kill the server, to start it again.
import { createRequire } from "node:module";
import readline from "node:readline";
import { chromium } from "playwright-core";
import { answering } from "./answering.mjs";
import { looking } from "./looking.mjs";

const { scenario, chromium: executablePath, ...given } = JSON.parse(process.argv[2]);
const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const browser = await chromium.launch({ executablePath, args: process.getuid() === 0 ? ["--no-sandbox"] : [] });
const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

const SIZES = {
  desktop: { viewport: { width: 1280, height: 800 } },
  phone: { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true },
  zoomed: { viewport: { width: 640, height: 400 }, deviceScaleFactor: 2 }, // a desktop of 1280 x 800 at 200%
  small: { viewport: { width: 195, height: 422 }, deviceScaleFactor: 4, isMobile: true, hasTouch: true }, // a phone at 200%
};

const problems = [];

/** A page of a new browser profile; whatever it complains about ends up in `problems`. */
async function open(size = "desktop", options = {}) {
  const context = await browser.newContext({ ...SIZES[size], ...options });
  context.setDefaultTimeout(10000);
  context.on("page", (page) => {
    page.on("pageerror", (error) => problems.push(String(error)));
    page.on("console", (message) => {
      // A request that fails is what some scenarios are about.
      if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) problems.push(message.text());
    });
  });
  return context.newPage();
}

async function ask(what) {
  process.stdout.write(`${JSON.stringify({ ask: what })}\n`);
  return JSON.parse((await lines.next()).value);
}

try {
  const found = await { ...answering, ...looking }[scenario]({ ...given, open, ask, axe });
  process.stdout.write(`${JSON.stringify({ found, problems })}\n`);
} catch (error) {
  process.stdout.write(`${JSON.stringify({ failed: error.stack, problems })}\n`);
} finally {
  await browser.close();
  process.exit();
}
