// The page: a bar, and the comments of the domain that its address names.

import { isolated } from "./dom.js";
import "./embed.js";

const domain = new URLSearchParams(location.search).get("domain") || "lobby";
document.title = `${isolated(domain)} · Repartee`;
document.getElementById("domain").textContent = domain;
const comments = document.createElement("repartee-comments");
comments.setAttribute("domain", domain);
comments.setAttribute("suggested-entity", "echo");
document.querySelector("main").append(comments);
