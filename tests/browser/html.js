// Markdown's values as the HTML in which CommonMark's examples are written; for tests only, no page does this.

const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
const address = (href) => escaped(encodeURI(href).replace(/%25([0-9A-Fa-f]{2})/g, "%$1"));

export function htmlOf(blocks) {
  return blocks.map((block) => `${blockOf(block)}\n`).join("");
}

function blockOf(block) {
  switch (block.type) {
    case "p":
      return `<p>${inlineOf(block.inline)}</p>`;
    case "h":
      return `<h${block.level}>${inlineOf(block.inline)}</h${block.level}>`;
    case "hr":
      return "<hr />";
    case "code": {
      const lang = block.lang === "" ? "" : ` class="language-${escaped(block.lang)}"`;
      return `<pre><code${lang}>${escaped(block.text)}${block.text === "" ? "" : "\n"}</code></pre>`;
    }
    case "quote":
      return `<blockquote>\n${htmlOf(block.blocks)}</blockquote>`;
    case "list": {
      const tag = block.start === null ? "ul" : "ol";
      const start = block.start === null || block.start === 1 ? "" : ` start="${block.start}"`;
      return `<${tag}${start}>\n${block.items.map((item) => `<li>${itemOf(item, block.tight)}</li>\n`).join("")}</${tag}>`;
    }
    default:
      throw new Error(`no block of CommonMark: ${block.type}`);
  }
}

function itemOf(blocks, tight) {
  let html = "";
  for (const block of blocks) {
    const isBare = tight && block.type === "p";
    if (!isBare && !html.endsWith("\n")) html += "\n";
    html += isBare ? inlineOf(block.inline) : `${blockOf(block)}\n`;
  }
  return html;
}

function inlineOf(tokens) {
  const open = [];
  return tokens.map((token) => {
    if (typeof token === "string") return escaped(token);
    if (token.code !== undefined) return `<code>${escaped(token.code)}</code>`;
    if (token.br) return "<br />\n";
    if (token.close) return `</${open.pop()}>`;
    open.push(token.open);
    if (token.open !== "a") return `<${token.open}>`;
    const title = token.title === undefined ? "" : ` title="${escaped(token.title)}"`;
    return `<a href="${address(token.href)}"${title}>`;
  }).join("");
}
