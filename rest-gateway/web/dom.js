// Makes elements. What people write reaches a page as text only, never as markup: nothing here takes any.

/**
 * An element with properties, attributes (names with a dash, and `role`) and children; null children are left out.
 * @param {string} tag
 * @param {object} [given]
 * @param {...(Node|string|null)} children
 */
export function h(tag, given = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (name === "role" || name === "for" || name.includes("-")) element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/**
 * A name within a text that can hold no elements, such as a title or a label: whatever it holds, it moves nothing around
 * it. Where elements can stand, a name stands in a `<bdi>`.
 */
export function isolated(name) {
  return `\u2068${name.replace(/[\u202a-\u202e\u2066-\u2069]/g, "")}\u2069`;
}

/** A name on a page. */
export function named(name) {
  return h("bdi", {}, name);
}

/**
 * The three parts of a color of nine digits, such as "169080199"; null for every other text ("default", too).
 * @param {string} color
 * @returns {[number, number, number]|null} red, green and blue, 0 to 255 each
 */
export function parseColor(color) {
  if (!/^[0-9]{9}$/.test(color)) return null;
  const parts = [0, 3, 6].map((at) => Number(color.slice(at, at + 3)));
  return parts.every((part) => part <= 255) ? parts : null;
}

/** The color of nine digits for a `#rrggbb` of the browser's color field. */
export function colorOf(hex) {
  return [1, 3, 5].map((at) => String(parseInt(hex.slice(at, at + 2), 16)).padStart(3, "0")).join("");
}

/**
 * Black or white, whichever is easier to read on the color: WCAG 2.2's relative luminance against the point where
 * both contrasts are equal.
 */
export function inkOn(rgb) {
  const [r, g, b] = rgb.map((part) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000" : "#fff";
}

/** The author's color as numbers in custom properties, set through the CSSOM, which a strict CSP allows. */
export function paint(element, color) {
  const rgb = parseColor(color);
  if (rgb) {
    element.style.setProperty("--accent", `rgb(${rgb.join(" ")})`);
    element.style.setProperty("--on-accent", inkOn(rgb));
  } else {
    element.style.removeProperty("--accent");
    element.style.removeProperty("--on-accent");
  }
}

/** Puts a text on the clipboard; false where the page may not, as where it is served neither over TLS nor from this machine. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
