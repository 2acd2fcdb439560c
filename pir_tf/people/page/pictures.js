// Images fetched and decoded before they are needed, so that the next one is on the screen in the frame after an answer.

const LATE = 8000; // ms after which the next slot is loaded beside one that doesn't come

/**
 * A slot whose images `load` fetches: `ready` once all are decoded; `late` where that takes long or has failed twice, so that it
 * holds up no other one. `changed` is called at both.
 */
export function prepare({ place, images }, mode, words, changed) {
  const slot = { place, ready: false, late: false, loading: false, sources: images.map(({ src }) => src).join() };
  slot.nodes = images.map(({ width, height }, k) => {
    // The name says where it is, never what it is.
    const alt = mode === "pair" ? [words.image_left, words.image_right][k] : words.image.replace("{letter}", "ABCDEFGHI"[k]);
    return Object.assign(new Image(width, height), { alt, draggable: false, decoding: "sync" });
  });
  const late = () => {
    if (slot.ready || slot.late) return;
    slot.late = true;
    changed();
  };
  slot.load = async () => {
    slot.loading = true;
    const timer = setTimeout(late, LATE);
    await Promise.all(slot.nodes.map((node, k) => decoded(node, images[k].src, late)));
    clearTimeout(timer);
    slot.ready = true;
    changed();
  };
  return slot;
}

/** Tries until it is there: images come from the same server as everything else, which may be away for a while. */
async function decoded(node, src, late) {
  for (let tries = 0; ; tries++) {
    try {
      node.src = src;
      return await node.decode();
    } catch {
      if (tries) late();
      const online = new Promise((resolve) => addEventListener("online", resolve, { once: true }));
      await Promise.race([sleep(Math.min(5000, 400 * 2 ** tries)), online]);
      node.removeAttribute("src");
    }
  }
}

/** After the second frame the first is on the screen; there are no frames while the page is hidden. */
export async function painted() {
  do await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
  while (document.visibilityState !== "visible");
}

export function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
