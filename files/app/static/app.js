"use strict";

const POLL_MS = 2000; // between two questions to /api/info
const ROWS = 8; // answers listed
const REMEMBERED = 60; // answers counted
const LINES = 8; // messages shown
const RETRY_MS = { first: 500, longest: 30000 }; // before the websocket is opened again

const $ = (id) => document.getElementById(id);
const clock = (date) => date.toLocaleTimeString([], { timeStyle: "medium", hourCycle: "h23" });
const day = (date) => date.toLocaleString([], { dateStyle: "medium", timeStyle: "short", hourCycle: "h23" });

/* The live panel: which process answers, again and again. */

const answers = []; // newest first
let release = null; // of the last answer

async function ask() {
  const at = new Date();
  const begin = performance.now();
  try {
    const response = await fetch("/api/info", { cache: "no-store", signal: AbortSignal.timeout(10000) });
    if (!response.ok) throw new Error(`status ${response.status}`);
    const info = await response.json();
    return { at, info, slot: info.slot || "none", ms: Math.round(performance.now() - begin) };
  } catch (error) {
    return { at, slot: "error", error: error.message };
  }
}

function row({ at, info, slot, ms, error }) {
  const tr = document.createElement("tr");
  tr.dataset.slot = slot;
  const cells = error ? [clock(at), "no answer", error, ""] : [clock(at), `:${info.port}`, info.release, `${ms} ms`];
  for (const text of cells) tr.insertCell().textContent = text;
  tr.cells[1].title = error ? "" : `process ${info.pid} on ${info.host}, slot ${slot}`;
  tr.cells[2].title = cells[2];
  return tr;
}

function say(text) {
  if ($("state").textContent !== text) $("state").textContent = text; // a status is read aloud when it changes
}

function show(answer) {
  answers.unshift(answer);
  answers.length = Math.min(answers.length, REMEMBERED);
  $("answers").prepend(row(answer));
  while ($("answers").rows.length > ROWS) $("answers").deleteRow(-1);
  [...$("whirl").children].forEach((band, n) => {
    if (!answers[n]) return;
    band.dataset.slot = answers[n].slot;
    band.dataset.shade = answers[n].info ? answers[n].info.port % 4 : 0; // neighbours differ
  });
  document.body.dataset.slot = answer.slot;
  if (answer.error) return say("No answer, still trying");

  const { info } = answer;
  if (release && release !== info.release) say(`New release at ${clock(answer.at)}`);
  else if (!$("state").textContent.startsWith("New release")) say("Serving");
  release = info.release;
  for (const element of document.querySelectorAll("[data-info]")) {
    const value = info[element.dataset.info];
    element.textContent = element.tagName === "TIME" ? day(new Date(value)) : value || "none";
  }
  const good = answers.filter((one) => one.info);
  const processes = new Set(good.map((one) => `${one.info.host}:${one.info.port}`)).size;
  $("share").textContent =
    `${good.length} of ${answers.length} questions answered, by ${processes} process${processes === 1 ? "" : "es"}.`;
}

async function poll() {
  if (!document.hidden) show(await ask());
  setTimeout(poll, POLL_MS);
}

/* The echo: a websocket that comes back, later each time, and never at the same moment as all the others. */

let socket = null;
let failures = 0;

function connect() {
  socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/ws`);
  socket.onopen = () => {
    failures = 0;
    status("Connected. What you send comes back.", true);
  };
  socket.onmessage = ({ data }) => note("in", data);
  socket.onclose = ({ code }) => {
    const delay = (0.5 + Math.random() / 2) * Math.min(RETRY_MS.longest, RETRY_MS.first * 2 ** failures++);
    status(`Closed (${code}), trying again in ${(delay / 1000).toFixed(1)} s.`, false);
    setTimeout(connect, delay);
  };
}

function status(text, open) {
  $("socket").textContent = text;
  $("echo").querySelector("button").disabled = !open;
}

function note(direction, text) {
  const line = document.createElement("li");
  line.className = direction;
  line.textContent = text;
  $("log").append(line);
  while ($("log").children.length > LINES) $("log").firstChild.remove();
}

$("echo").addEventListener("submit", (event) => {
  event.preventDefault();
  if (socket.readyState !== WebSocket.OPEN) return;
  note("out", $("message").value);
  socket.send($("message").value);
  $("message").value = "";
});

poll();
connect();
