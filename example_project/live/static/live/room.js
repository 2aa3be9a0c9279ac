"use strict";

const room = new URLSearchParams(location.search).get("room") || "lobby";
const here = document.getElementById("present");
const lines = document.getElementById("lines");
const state = document.getElementById("state");
let socket = null;
let token = null;
let since = null;
let isHidden = false;
let wait = 500; // milliseconds until the next attempt

async function ask(method, path, body) {
  const headers = { "Content-Type": "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  const response = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.detail || answer.title);
  return answer;
}

function show(text, kind) {
  const line = document.createElement("li");
  line.textContent = text;
  line.className = kind;
  lines.append(line);
  line.scrollIntoView({ block: "nearest" });
}

async function showPresent() {
  here.textContent = (await ask("GET", `/live/rooms/${room}/present`)).users.join(", ");
}

function receive(message) {
  if (message.offset) {
    since = message.offset;
    show(`${message.data.by}: ${message.data.text}`, "line");
  } else if (message.gap) {
    show(message.gap.missed === null ? "something was missed" : `${message.gap.missed} lines were missed`, "note");
  } else if (message.joined || message.left) {
    showPresent();
  }
}

async function connect() {
  try {
    const { ticket } = await ask("POST", "/auth/ticket");
    const query = new URLSearchParams(since ? { ticket, since } : { ticket });
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    socket = new WebSocket(`${scheme}://${location.host}/live/rooms/${room}?${query}`);
  } catch (error) {
    again();
    return;
  }
  socket.onopen = () => {
    state.textContent = "connected";
    wait = 500;
    showPresent();
  };
  socket.onmessage = (event) => receive(JSON.parse(event.data));
  socket.onclose = (event) => {
    state.textContent = `disconnected (${event.code})`;
    if (event.code !== 4401 && !isHidden) again();
  };
}

function again() {
  setTimeout(connect, wait * (0.5 + Math.random()));
  wait = Math.min(wait * 2, 10000);
}

// A page that is left may live on in the browser's memory, to be shown again, and its socket with it.
addEventListener("pagehide", () => {
  isHidden = true;
  socket?.close();
});
addEventListener("pageshow", (event) => {
  isHidden = false;
  if (event.persisted && token) connect();
});

document.getElementById("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const problem = document.getElementById("problem");
  problem.textContent = "";
  try {
    token = (await ask("POST", "/auth/login", Object.fromEntries(new FormData(event.target)))).token;
  } catch (error) {
    problem.textContent = error.message;
    return;
  }
  event.target.hidden = true;
  document.getElementById("room").hidden = false;
  connect();
});

document.getElementById("say").addEventListener("submit", async (event) => {
  event.preventDefault();
  const input = event.target.elements.text;
  try {
    await ask("POST", `/live/rooms/${room}`, { text: input.value });
    input.value = "";
  } catch (error) {
    show(error.message, "note");
  }
});
