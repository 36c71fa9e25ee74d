// A worker in a process of its own. Its model says what the test tells it to say, word by word, and until then nothing:
// the worker holds what it was given, and renews.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { join } from "node:path";

export class Bot {
  #process;
  #asked = open();
  #answer = null;

  static async start(t, service, { name, entity }) {
    const bot = new Bot();
    const model = createServer((request, answer) => {
      bot.#answer = answer;
      request.resume().on("end", () => bot.#asked.resolve());
    });
    model.listen(0, "127.0.0.1");
    await once(model, "listening");
    bot.#process = spawn(
      join(process.env.REPARTEE_BIN_DIR, "bot-worker"),
      [
        "--queue-url", service.queueUrl, "--token-file", service.workerTokenFile, "--name", name, "--entity", entity,
        "--model", "none", "--openai-base-url", `http://127.0.0.1:${model.address().port}/v1`,
      ],
      { stdio: "ignore" },
    );
    t.after(async () => {
      await bot.kill();
      model.closeAllConnections();
      model.close();
    });
    return bot;
  }

  /** Settles once the model was asked: the worker has a message, and works on it. After `ends`, once it has the next. */
  works() {
    return this.#asked.promise;
  }

  /** The model writes on. */
  writes(text) {
    if (!this.#answer.headersSent) this.#answer.writeHead(200, { "Content-Type": "text/event-stream" });
    this.#answer.write(`data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: text } }] })}\n\n`);
  }

  /** The model has written all. */
  ends() {
    this.#asked = open();
    this.#answer.end("data: [DONE]\n\n");
  }

  /** Ends the process by its id, at once: it gives nothing back and says no goodbye. */
  async kill() {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await ended;
  }

  /** Stops the process where it is, as a machine that hangs does. */
  freeze() {
    this.#process.kill("SIGSTOP");
  }

  thaw() {
    this.#process.kill("SIGCONT");
  }
}

/** A promise that somebody else settles. */
function open() {
  const made = {};
  made.promise = new Promise((resolve) => { made.resolve = resolve; });
  return made;
}
