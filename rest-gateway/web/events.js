// Reads Server-Sent Events from a stream of bytes (WHATWG HTML, 9.2.6). `EventSource` would hide what a follower has to
// know: the status of a refusal, and the comments that show that a silent stream is alive.

/** The longest line, in characters; no event of Repartee comes near it. */
const LONGEST_LINE = 1_000_000;

/** Takes the text of a stream piece by piece and gives its events. */
export class EventParser {
  #rest = "";
  #afterReturn = false;
  #data = [];
  #type = "";
  #id = null;

  /**
   * @param {string} text the next piece, cut anywhere
   * @returns {{type: string, data: string, id: string|null}[]} `type` is "message" where the stream names none, and
   *   "retry" with the time in ms as `data`, "id" where a place came without an event
   */
  push(text) {
    const events = [];
    // A pair of CR and LF that was cut in two is one end of a line.
    const fresh = this.#afterReturn && text.startsWith("\n") ? text.slice(1) : text;
    if (text !== "") this.#afterReturn = text.endsWith("\r");
    const lines = (this.#rest + fresh).split(/\r\n|\n|\r/);
    this.#rest = lines.pop();
    if (this.#rest.length > LONGEST_LINE) throw new Error("an event is too long");
    for (const line of lines) {
      const event = line === "" ? this.#dispatch() : this.#field(line);
      if (event) events.push(event);
    }
    return events;
  }

  #field(line) {
    const colon = line.indexOf(":");
    if (colon === 0) return null;
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "data") this.#data.push(value);
    else if (name === "event") this.#type = value;
    else if (name === "id" && !value.includes("\0")) this.#id = value;
    else if (name === "retry" && /^[0-9]+$/.test(value)) return { type: "retry", data: value, id: null };
    return null;
  }

  #dispatch() {
    const event = { type: this.#type || "message", data: this.#data.join("\n"), id: this.#id };
    // A place without an event: up to there the follower has seen all.
    if (this.#data.length === 0) Object.assign(event, { type: "id" });
    const empty = this.#data.length === 0 && this.#id === null;
    this.#data = [];
    this.#type = "";
    this.#id = null;
    return empty ? null : event;
  }
}

/**
 * The events of a body as they come.
 * @param {ReadableStream<Uint8Array>} body
 * @param {() => void} alive called for each piece, comments among them
 */
export async function* eventsOf(body, alive) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const parser = new EventParser();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      alive();
      yield* parser.push(decoder.decode(value, { stream: true }));
    }
  } finally {
    // Also where the follower stops in between: the connection is given back.
    reader.cancel().catch(() => {});
  }
}
