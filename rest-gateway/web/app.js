// The page: a bar, and the comments of the domain that its address names; with `markdown=off`, texts as they are written.

import { isolated } from "./dom.js";
import "./embed.js";

const asked = new URLSearchParams(location.search);
const domain = asked.get("domain") || "lobby";
document.title = `${isolated(domain)} · Repartee`;
document.getElementById("domain").textContent = domain;
const comments = document.createElement("repartee-comments");
comments.setAttribute("domain", domain);
comments.setAttribute("suggested-entity", "echo");
if (asked.has("markdown")) comments.setAttribute("markdown", asked.get("markdown"));
document.querySelector("main").append(comments);
if ("rooms" in document.body.dataset) import("./room-list.js").then(({ RoomList }) => new RoomList(domain));
