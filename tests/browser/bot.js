// A worker in a process of its own. Its model says what the test tells it to say, word by word, and until then nothing:
// the worker holds what it was given, and renews.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { join } from "node:path";

export class Bot {
  #process;
  #asked;
  #answer = null;

  static async start(t, service, { name, entity }) {
    const bot = new Bot();
    let heard;
    bot.#asked = new Promise((resolve) => { heard = resolve; });
    const model = createServer((request, answer) => {
      bot.#answer = answer;
      request.resume().on("end", heard);
    });
    model.listen(0, "127.0.0.1");
    await once(model, "listening");
    bot.#process = spawn(
      join(process.env.REPARTEE_BIN_DIR, "bot-worker"),
      ["--queue-url", service.queueUrl, "--name", name, "--entity", entity, "--model", "none", "--openai-base-url", `http://127.0.0.1:${model.address().port}/v1`],
      { stdio: "ignore" },
    );
    t.after(async () => {
      const ended = once(bot.#process, "exit");
      bot.#process.kill("SIGKILL");
      await ended;
      model.closeAllConnections();
      model.close();
    });
    return bot;
  }

  /** Settles once the model was asked: the worker has a message, and works on it. */
  works() {
    return this.#asked;
  }

  /** The model writes on. */
  writes(text) {
    if (!this.#answer.headersSent) this.#answer.writeHead(200, { "Content-Type": "text/event-stream" });
    this.#answer.write(`data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: text } }] })}\n\n`);
  }

  /** The model has written all. */
  ends() {
    this.#answer.end("data: [DONE]\n\n");
  }

  /** Stops the process where it is, as a machine that hangs does. */
  freeze() {
    this.#process.kill("SIGSTOP");
  }

  thaw() {
    this.#process.kill("SIGCONT");
  }
}
