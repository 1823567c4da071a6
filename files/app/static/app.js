"use strict";

/* The connection: a websocket that comes back, later each time, and never at the same moment as all the others; else long polls. */

const RETRY_MS = { first: 500, longest: 15000, moved: 800 };
const HANDSHAKE_MS = 10000; // something on the way may neither let it through nor refuse it
const POLL_AFTER = 2; // failures in a row after which polls take over, between two attempts
const POLL_MS = 40000; // a poll waits for 25 s
const GOING_AWAY = 1001;

const NOTICES = {
  process: "There is no Redis: this board is that of one process, and ends with it.",
  away: "Redis is out of reach: this is the board as this process last knew it, and nothing can be posted for the moment.",
};

let socket = null;
let failures = 0;
let turn = 0; // of sockets, polls and timers only those of the latest attempt count
let me = {};

const day = (date) => date.toLocaleString([], { dateStyle: "medium", timeStyle: "short", hourCycle: "h23" });

function say(text) {
  if ($("state").textContent !== text) $("state").textContent = text; // a status is read aloud when it changes
}

function showProcess(process) {
  me = process;
  document.title = `${process.app} on ${process.host}`;
  document.body.dataset.slot = process.slot || "none";
  for (const shown of document.querySelectorAll("[data-info]")) {
    const value = process[shown.dataset.info];
    shown.textContent = shown.tagName === "TIME" ? day(new Date(value)) : value || "none";
  }
}

function showStore(store) {
  $("notice").dataset.store = store;
  $("notice").textContent = NOTICES[store] ?? "";
}

function take(event) {
  if (event.id) takeEvent(event);
  else if (event.kind === "hello") {
    showProcess(event.process);
    showStore(event.store);
  } else if (event.kind === "store") showStore(event.state);
  else if (event.kind === "fleet") showWorkers(showFleet(event.processes, me));
  else if (event.kind === "tally") showTally(event);
  else if (event.kind === "cursor") showCursor(event);
}

/* `hello` first: the fleet's map shows which process it came from. */
function takeAll(events) {
  for (const event of events.filter((one) => one.kind === "hello")) take(event);
  for (const event of events.filter((one) => one.kind !== "hello")) take(event);
}

const after = () => (state.last ? `?after=${state.last}` : "");
const served = (how) => say(`${how} ${me.host}:${me.port}`);

function connect() {
  const mine = ++turn;
  const own = new WebSocket(`${location.origin.replace(/^http/, "ws")}/board${after()}`);
  socket = own;
  const hung = setTimeout(() => own.close(), HANDSHAKE_MS);
  socket.onmessage = ({ data }) => {
    clearTimeout(hung);
    failures = 0; // a proxy may let it open, and nothing through
    takeAll(JSON.parse(data));
    served("Live from");
  };
  socket.onclose = ({ code }) => {
    clearTimeout(hung);
    if (mine !== turn) return;
    failures += code === GOING_AWAY ? 0 : 1;
    document.body.dataset.slot = code === GOING_AWAY ? document.body.dataset.slot : "error";
    if (failures > POLL_AFTER) poll();
    else if (code === GOING_AWAY) retry(Math.random() * RETRY_MS.moved, "Moving to another process");
    else retry(delay(), "Connection lost, trying again");
  };
}

const delay = () => (0.5 + Math.random() / 2) * Math.min(RETRY_MS.longest, RETRY_MS.first * 2 ** failures);

function retry(ms, text) {
  say(text);
  connectLater(ms);
}

function connectLater(ms) {
  const mine = turn;
  setTimeout(() => mine === turn && connect(), ms);
}

async function poll() {
  const mine = turn;
  try {
    const response = await fetch(`/api/poll${after()}`, { cache: "no-store", signal: AbortSignal.timeout(POLL_MS) });
    if (!response.ok) throw new Error(`status ${response.status}`);
    const { events } = await response.json();
    if (mine !== turn) return;
    takeAll(events);
    served("By long polls from");
    connectLater(RETRY_MS.first); // perhaps a websocket opens now; if not, the next poll follows at once
  } catch {
    if (mine === turn) retry(delay(), "No answer, still trying");
  }
}

function sendPlace(place) {
  if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(place));
}

/* Opens another socket at once. */
function again() {
  socket.close();
  connect();
}

connect();
