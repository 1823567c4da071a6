"use strict";

/* The board: messages, reactions, previews and cursors. Everything that visitors write becomes text, never markup. */

const SHOWN = 100; // messages on the page
const CURSOR_MS = { pause: 120, life: 8000 }; // between two positions that are sent; until one that is silent goes

const state = {
  me: $("messages").dataset.who,
  last: "", // the latest event that this page has
  messages: new Map(), // id -> { event, reactions: Map(symbol -> Set(who)), preview, item }
  cursors: new Map(), // who -> { element, timer }
  workers: 0,
};

const clock = (text) => new Date(text).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const hue = (who) => parseInt(who.slice(0, 6), 16) % 360;

function later(a, b) {
  const [[aTime, aNumber], [bTime, bNumber]] = [a, b].map((id) => id.split("-").map(Number));
  return aTime > bTime || (aTime === bTime && aNumber > bNumber);
}

/* Takes an event that stays, in its order; one that was here before is known by its id. */
function takeEvent(event) {
  if (state.last && !later(event.id, state.last)) return;
  if (!state.last) $("messages").replaceChildren(); // what was rendered for those without JavaScript comes again
  state.last = event.id;
  const message = state.messages.get(event.of);
  if (event.kind === "message") addMessage(event);
  else if (message && event.kind === "preview") message.preview = event.title;
  else if (message && event.kind === "reaction") react(message, event);
  if (message) showMessage(message);
}

function react(message, { symbol, who, on }) {
  const whose = message.reactions.get(symbol) ?? new Set();
  if (on) whose.add(who);
  else whose.delete(who);
  message.reactions.set(symbol, whose);
}

function addMessage(event) {
  const list = $("messages");
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 60;
  const item = $("message").content.firstElementChild.cloneNode(true);
  const message = { event, reactions: new Map(), preview: "", item };
  state.messages.set(event.id, message);
  item.dataset.id = event.id;
  item.classList.toggle("own", event.who === state.me);
  item.style.setProperty("--hue", hue(event.who)); // not a style in the markup, which the policy forbids
  item.querySelector("b").textContent = event.name;
  item.querySelector("time").dateTime = event.at;
  item.querySelector("time").textContent = clock(event.at);
  item.querySelector(".via").textContent = `via ${event.via.host}:${event.via.port}`;
  item.querySelector(".via").dataset.slot = event.via.slot || "none";
  item.querySelector(".text").textContent = event.text;
  item.querySelector(".link").hidden = !/^https?:\/\//.test(event.link);
  if (!item.querySelector(".link").hidden) {
    item.querySelector("a").href = event.link;
    item.querySelector("a").textContent = event.link;
  }
  for (const button of item.querySelectorAll("button")) button.value = `${event.id}${button.value}`;
  showMessage(message);
  list.append(item);
  while (list.children.length > SHOWN) {
    state.messages.delete(list.firstElementChild.dataset.id);
    list.firstElementChild.remove();
  }
  if (atEnd || event.who === state.me) list.scrollTop = list.scrollHeight;
}

function showMessage({ item, reactions, preview }) {
  const waits = state.workers ? "A worker looks for the title…" : "The title waits for a worker; none is there now.";
  item.querySelector(".link span").textContent = preview || waits;
  for (const button of item.querySelectorAll("button")) {
    const symbol = button.value.split(" ")[1];
    const whose = reactions.get(symbol) ?? new Set();
    button.setAttribute("aria-pressed", String(whose.has(state.me)));
    button.setAttribute("aria-label", button.getAttribute("aria-label").replace(/\d+$/, whose.size));
    button.querySelector(".count").textContent = whose.size || "";
  }
}

function showWorkers(workers) {
  if (workers === state.workers) return;
  state.workers = workers;
  state.messages.forEach((message) => showMessage(message));
}

function showTally({ visitors, by, at }) {
  $("tally").textContent = !visitors ? "" : `${plural(visitors, "visitor")} today, counted by ${by} at ${clock(at)}.`;
}

/* Cursors, where others point. */

function showCursor({ who, name, place }) {
  if (who === state.me) return;
  const old = state.cursors.get(who);
  clearTimeout(old?.timer);
  if (!place) {
    old?.element.remove();
    state.cursors.delete(who);
    return;
  }
  const shown = old?.element ?? element("span", "cursor");
  shown.textContent = name;
  shown.style.setProperty("--hue", hue(who));
  shown.style.left = `${place[0] * 100}%`;
  shown.style.top = `${place[1] * 100}%`;
  if (!old) $("cursors").append(shown);
  state.cursors.set(who, { element: shown, timer: setTimeout(showCursor, CURSOR_MS.life, { who, place: null }) });
}

let pointed = 0;

function point(event) {
  if (event.type === "pointerleave" && event.pointerType === "touch") return; // a finger leaves with each tap
  const now = performance.now();
  if (event.type === "pointermove" && now - pointed < CURSOR_MS.pause) return;
  pointed = now;
  const box = $("board").getBoundingClientRect();
  const part = (at, from, size) => Math.min(1, Math.max(0, Number(((at - from) / size).toFixed(3))));
  const place = [part(event.clientX, box.left, box.width), part(event.clientY, box.top, box.height)];
  sendPlace(event.type === "pointerleave" ? null : place);
}

for (const type of ["pointermove", "pointerdown", "pointerleave"]) $("board").addEventListener(type, point, { passive: true });

/* What is posted: each form as it is, without leaving the page. A key makes it count once, however often it is sent. */

const TRIES = 3;
const ANSWER_MS = 20000; // within which there is one, if only that Redis is out of reach
const PASSING = [502, 503, 504];

const newKey = () => [...crypto.getRandomValues(new Uint8Array(8))].map((byte) => byte.toString(16)).join("");

async function post(form, button) {
  const body = new URLSearchParams(new FormData(form, button));
  if (!body.has("key")) body.set("key", newKey());
  for (let attempt = 1; ; attempt++) {
    try {
      const headers = { Accept: "application/json" };
      const response = await fetch(form.action, { method: "POST", headers, body, signal: AbortSignal.timeout(ANSWER_MS) });
      const answer = await response.json().catch(() => ({ error: `It may not have been taken (${response.status}). Please try again.` }));
      if (response.ok) return answer;
      if (attempt === TRIES || !PASSING.includes(response.status)) throw new Error(answer.error);
    } catch (error) {
      if (!["TypeError", "TimeoutError"].includes(error.name)) throw error; // an answer, and not a way that broke
      if (attempt === TRIES) throw new Error("There is no connection. Please try again.");
    }
    await new Promise((resolve) => setTimeout(resolve, 300 * attempt * (1 + Math.random())));
  }
}

document.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const sent = form.elements.text?.value;
  try {
    const answer = await post(form, event.submitter);
    $("problem").textContent = "";
    if (form.id === "post") {
      if (form.elements.text.value === sent) form.elements.text.value = ""; // and nothing that was written meanwhile
      form.elements.key.value = newKey();
    } else if (form.id === "name") {
      form.elements.name.value = answer.name;
      form.elements.name.blur();
      again(); // the socket has the former name
    }
  } catch (error) {
    $("problem").textContent = error.message;
  }
});
