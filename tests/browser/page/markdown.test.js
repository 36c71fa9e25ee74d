// What bots write in Markdown, as people see it: in replies and in drafts that grow, and harmless whatever it holds.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Bot } from "../bot.js";
import { Site } from "../site.js";
import { Service, comments, connection, newContext, openPage, openTab, pageOf, say, sentBytes, startBrowser, texts, write, writing } from "./world.js";

let browser;
before(async () => { browser = await startBrowser(); });
after(() => browser?.close());

const ANSWER = `## Why

Because the *universe* is **young**, and \`c\` is finite:

1. light needs time,
2. stars are
   - few,
   - far away.

> Olbers asked in 1823.

\`\`\`python
print("<b>dark</b>")
\`\`\`

| star | distance |
|:-----|---------:|
| Sun  | 8 min    |

See [Olbers](https://en.wikipedia.org/wiki/Olbers "the paradox") or https://example.org/dark.`;

/** Lets a bot answer. */
function answer(service, text, domain = "lobby") {
  const reply = { domain, text, username: "sage", color: "default", "message-type": "AI" };
  return service.send("/api/comments", reply, { headers: { Authorization: `Bearer ${service.operatorToken}` } });
}

const prose = (page) => page.locator(".prose");

test("an answer in Markdown is shown as it is meant", async (t) => {
  const service = await Service.start(t);
  await answer(service, ANSWER);
  const page = await openPage(t, browser, service);
  await prose(page).waitFor();
  assert.deepEqual(await prose(page).locator("> *").evaluateAll((all) => all.map(({ localName }) => localName)), ["h4", "p", "ol", "blockquote", "div", "div", "p"]);
  assert.equal(await prose(page).locator("em").textContent(), "universe");
  assert.deepEqual(await prose(page).locator("ol > li > ul > li").allTextContents(), ["few,", "far away."]);
  assert.equal(await prose(page).locator("pre").textContent(), 'print("<b>dark</b>")');
  assert.deepEqual(await prose(page).locator("td").allTextContents(), ["Sun", "8 min"]);
  const links = await prose(page).locator("a").evaluateAll((all) => all.map(({ href, rel, target, title, textContent }) => ({ href, rel, target, title, textContent })));
  const kept = { rel: "noopener nofollow ugc", target: "_blank" };
  assert.deepEqual(links, [
    { href: "https://en.wikipedia.org/wiki/Olbers", title: "the paradox", textContent: "Olbers", ...kept },
    { href: "https://example.org/dark", title: "", textContent: "https://example.org/dark", ...kept },
  ]);
  assert.deepEqual(await prose(page).locator(".host").allTextContents(), ["(en.wikipedia.org)"], "where a link leads stands beside it");
  assert.deepEqual(page.complaints, []);
});

test("code is copied by its button", async (t) => {
  const service = await Service.start(t);
  await answer(service, ANSWER);
  const page = await openPage(t, browser, service, { permissions: ["clipboard-read", "clipboard-write"] });
  await prose(page).getByRole("button", { name: "Copy" }).click();
  await prose(page).getByRole("button", { name: "Copied" }).waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), 'print("<b>dark</b>")');
});

test("a draft in Markdown is shown while it grows, and what is there already stays", async (t) => {
  const service = await Service.start(t);
  const bot = await Bot.start(t, service, { name: "gpu-1", entity: "sage" });
  const page = await openPage(t, browser, service);
  await write(page, { name: "Ada", entity: "sage", text: "Tell me **all**." });
  await bot.works();
  bot.writes("It is **old**.\n\n```js\nlet a = 1;\n");
  await writing(page).locator("pre").getByText("let a = 1;").waitFor();
  assert.equal(await writing(page).locator("strong").textContent(), "old");
  await writing(page).locator("p").first().evaluate((first) => { first.isTheSame = true; });
  bot.writes("let b = 2;\n```\n\nAnd *so* on");
  await writing(page).locator("em").getByText("so").waitFor();
  assert.equal(await writing(page).locator("pre").textContent(), "let a = 1;\nlet b = 2;");
  assert.equal(await writing(page).locator("p").first().evaluate((first) => first.isTheSame), true);
  bot.ends();
  await page.getByText("sage · answered").waitFor();
  assert.equal(await prose(page).locator("p").first().evaluate((first) => first.isTheSame), true, "nor does the reply move it");
  assert.equal(await comments(page, "Tell me **all**.").count(), 1, "people's signs are what they wrote");
  assert.deepEqual(page.complaints, []);
});

test("of what people write addresses are links, and nothing else", async (t) => {
  const service = await Service.start(t);
  await say(service, "Look: **https://example.org/a_b_c**, [not](https://evil.example)\n# this");
  const page = await openPage(t, browser, service);
  await page.locator(".text a").first().waitFor();
  assert.deepEqual(await page.locator(".text a").evaluateAll((all) => all.map(({ href }) => href)), ["https://example.org/a_b_c", "https://evil.example/"]);
  assert.equal(await page.locator(".text").textContent(), "Look: **https://example.org/a_b_c**, [not](https://evil.example)\n# this");
});

const PROBES = [
  "[a](javascript:alert(1))", "[a](JaVaScRiPt:alert(1))", "[a](java\tscript:alert(1))", "[a](&#106;avascript:alert(1))", "[a](<java\\script:alert(1)>)", "[a](\u0001javascript:alert(1))",
  "[a](vbscript:x)", "[a](data:text/html,<script>alert(1)</script>)", "[a](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)", "[a](blob:https://example.org/x)", "[a](file:///etc/passwd)", "[a](about:blank)", "[a](/admin)", "[a](//evil.example/x)", "[a](?domain=x)", "[a](#x)",
  "<javascript:alert(1)>", "<data:text/html,x>", "![a](javascript:alert(1))", '![a](https://evil.example/x.png "t")', "![a](data:image/svg+xml,<svg onload=alert(1)>)", "[![a](https://evil.example/x.png)](javascript:alert(1))",
  "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<svg onload=alert(1)>", '<a href="javascript:alert(1)">x</a>', "<iframe srcdoc='<script>alert(1)</script>'></iframe>", "<style>*{display:none}</style>", "<!-- --><base href=//evil.example>", "&lt;script&gt;alert(1)&lt;/script&gt;", "&#60;img src=x onerror=alert(1)&#62;",
  "```\n</code></pre><script>alert(1)</script>\n```", "````\n```\n<img src=x onerror=alert(1)>\n```\n````", "~~~<script>\nx\n~~~", "`<img src=x onerror=alert(1)>`", "``` \"><img src=x onerror=alert(1)>\nx\n```",
  '[a](https://a.example "x\\" onmouseover=\\"alert(1)")', '[<img src=x onerror=alert(1)>](https://a.example)', "[a](https://a.example/\"onclick=alert(1))", "https://a.example/\"onmouseover=alert(1)", "https://a.example/<img src=x onerror=alert(1)>",
  "| <script>alert(1)</script> | b |\n|--|--|\n| <img src=x onerror=alert(1)> | [a](javascript:alert(1)) |", "[a]: javascript:alert(1)\n\n[a]", "# <img src=x onerror=alert(1)>", "- [ ] <input autofocus onfocus=alert(1)>", "> <script>alert(1)</script>", "*".repeat(3_000), "[".repeat(3_000), ">".repeat(3_000), `${"*a _b ".repeat(1_000)}`,
];

for (const [where, writes] of Object.entries({ "an answer": answer, "what people write": say })) {
  test(`markup and addresses that do harm stay text in ${where}`, async (t) => {
    const service = await Service.start(t);
    const page = await openPage(t, browser, service);
    const asked = [];
    page.on("request", (request) => asked.push(request.url()));
    for (const probe of PROBES) await writes(service, probe);
    await writes(service, "https://last.example");
    await page.locator(".text a").getByText("https://last.example").waitFor();
    const allowed = ["a", "bdi", "blockquote", "br", "button", "code", "del", "div", "em", "h3", "h4", "hr", "li", "ol", "p", "pre", "span", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul"];
    const elements = await page.evaluate(() => {
      const shown = [...document.querySelector("repartee-comments").shadowRoot.querySelectorAll(".text")];
      return shown.flatMap((text) => [...text.querySelectorAll("*")].map((one) => {
        let depth = 0;
        for (let at = one; at !== text; at = at.parentNode) depth += 1;
        return { name: one.localName, attributes: one.getAttributeNames(), href: one.href ?? null, depth };
      }));
    });
    assert.ok(elements.length > 5);
    for (const { name, attributes, href, depth } of elements) {
      assert.ok(allowed.includes(name), name);
      assert.ok(attributes.every((one) => ["href", "rel", "target", "title", "class", "start", "type", "tabindex", "role", "aria-label", "dir"].includes(one)), String(attributes));
      if (href !== null) assert.match(href, /^(https?|mailto):/);
      assert.ok(depth < 64, "no tree is so deep that a browser could stumble");
    }
    assert.deepEqual(asked.filter((url) => !url.startsWith(service.url)), [], "nothing is loaded from elsewhere");
    assert.deepEqual(page.complaints, []);
  });
}

test("a link whose text names another place shows where it leads", async (t) => {
  const service = await Service.start(t);
  await answer(service, "[https://bank.example](https://evil.example/x) [bank.example](https://evil.example) https://bank.example@evil.example/ [](https://evil.example) [\u202ebank](https://b\u00fccher.example) <mailto:a@b.example>");
  const page = await openPage(t, browser, service);
  await prose(page).waitFor();
  assert.deepEqual(await page.locator(".host").allTextContents(), ["(evil.example)", "(evil.example)", "(evil.example)", "(xn--bcher-kva.example)", "(a@b.example)"]);
  assert.deepEqual(await page.locator(".text a").allTextContents(), ["https://bank.example", "bank.example", "https://bank.example@evil.example/", "evil.example", "\u202ebank", "mailto:a@b.example"]);
});

test("Markdown works in a site under a strict policy, and an attribute turns it off", async (t) => {
  const site = await Site.start(t);
  const service = await Service.start(t, { REPARTEE_CORS_ORIGINS: site.origin });
  Object.assign(site, { service: service.url, body: '<repartee-comments domain="lobby"></repartee-comments><repartee-comments domain="lobby" markdown="off"></repartee-comments>' });
  await answer(service, ANSWER);
  const page = await openTab(await newContext(t, browser), `${site.origin}/`);
  const [on, off] = [page.locator("repartee-comments").first(), page.locator("repartee-comments").last()];
  await on.locator("td").first().waitFor();
  assert.equal(await off.locator(".text").textContent(), ANSWER);
  await page.evaluate(() => document.querySelector("repartee-comments").setAttribute("markdown", "off"));
  await on.getByText("## Why").waitFor();
  await page.evaluate(() => { for (const one of document.querySelectorAll("repartee-comments")) one.removeAttribute("markdown"); });
  await off.locator("td").first().waitFor();
  assert.deepEqual(page.complaints, []);
  const plain = await openTab(page.context(), `${pageOf(service)}&markdown=off`);
  await connection(plain, "live");
  assert.deepEqual(await texts(plain), [ANSWER]);
});

test("Markdown is loaded once something needs it, and is less than 8 KB compressed", async (t) => {
  const service = await Service.start(t);
  const page = await openPage(t, browser, service);
  const loaded = () => page.evaluate(() => performance.getEntriesByType("resource").map(({ name }) => name.split("/").at(-1)).filter((name) => /^(prose|markdown)/.test(name)));
  await say(service, "Only words.");
  await comments(page, "Only words.").waitFor();
  assert.deepEqual(await loaded(), []);
  await answer(service, "*More*");
  await prose(page).waitFor();
  assert.deepEqual(await loaded(), ["prose.js", "markdown.js"]);
  const sum = (await sentBytes(service, "prose.js")) + (await sentBytes(service, "markdown.js"));
  assert.ok(sum < 8_000, `${sum} bytes`);
});
