// The steps of which the scenarios are made.

export const PAUSE = 230; // ms: the page takes no answer sooner than 200 after an image is painted

/** Opens the raters' link, agrees, and waits for the first image. */
export async function begin(page, link) {
  await page.goto(link);
  await page.waitForSelector('[data-view="welcome"]');
  await page.waitForTimeout(PAUSE);
  await page.click("#buttons button");
  await ready(page);
}

/** Waits until the page takes an answer to what it shows. */
export async function ready(page) {
  await page.waitForSelector('[data-view="rate"]:not([data-busy]) #stage[aria-busy="false"] img');
  await page.waitForTimeout(PAUSE);
}

export const source = (page) => page.$eval("#cells img", (image) => image.getAttribute("src"));
export const notice = (page) => page.textContent("#notice");
export const waiting = (page) => page.evaluate(() => Object.keys(localStorage).filter((key) => /^pir_tf\/.+\//.test(key)).length);

/** Waits until the server has everything of this browser's rater. */
export async function stored(page) {
  const none = () => !Object.keys(localStorage).some((key) => key.startsWith(`pir_tf/${localStorage["pir_tf/rater"]}/`));
  await page.waitForFunction(none, null, { timeout: 30000, polling: 100 });
}

export async function press(page, key) {
  await ready(page);
  const before = await source(page);
  await page.keyboard.press(key);
  return before;
}
