"use strict";

/* The map of the fleet: hosts, and in each the processes that said something lately. Tiles stay where they are while their numbers change. */

const LEAVING_MS = 600; // how long a tile that leaves is still seen
const tiles = new Map(); // key of a process -> its tile

const $ = (id) => document.getElementById(id);
const plural = (number, word, more = `${word}s`) => `${number} ${number === 1 ? word : more}`;

function element(name, className, text = "") {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

function hostOf(name) {
  let host = [...$("hosts").children].find((one) => one.dataset.host === name);
  if (!host) {
    host = element("article", "host");
    host.dataset.host = name;
    host.append(element("h3", "", name), element("p", "releases"), element("ul", "tiles"));
    const after = [...$("hosts").children].find((one) => one.dataset.host > name);
    $("hosts").insertBefore(host, after ?? null);
  }
  return host;
}

function showTile(process, mine) {
  const key = `${process.host} ${process.pid}`;
  let tile = tiles.get(key);
  if (!tile) {
    tile = element("li", "tile");
    tile.append(element("b", ""), element("span", ""));
    tiles.set(key, tile);
  }
  const worker = process.role === "worker";
  const does = worker ? "worker" : plural(process.sockets, "listener");
  tile.dataset.slot = process.slot || "none";
  tile.classList.toggle("worker", worker);
  tile.classList.toggle("stopping", process.stopping);
  tile.classList.toggle("mine", mine);
  tile.children[0].textContent = worker ? "⚙" : process.port;
  tile.children[1].textContent = worker ? "worker" : process.sockets;
  const state = `${process.stopping ? ", stopping" : ""}${mine ? ", serves you" : ""}`;
  tile.title = `process ${process.pid} on ${process.host}, slot ${process.slot || "none"}, release ${process.release}, ${does}${state}`;
  tile.setAttribute("aria-label", `${worker ? "" : `port ${process.port}, `}${tile.title}`);
  return [key, tile];
}

function showFleet(processes, me) {
  for (const old of $("hosts").querySelectorAll(":scope > p")) old.remove(); // what is there without JavaScript
  const seen = new Set();
  const byHost = Map.groupBy ? Map.groupBy(processes, (one) => one.host) : grouped(processes);
  for (const [name, own] of byHost) {
    const host = hostOf(name);
    host.querySelector(".releases").replaceChildren(...releases(own));
    const list = host.querySelector(".tiles");
    own.forEach((process, index) => {
      const [key, tile] = showTile(process, process.host === me.host && process.pid === me.pid);
      seen.add(key);
      if (list.children[index] !== tile) list.insertBefore(tile, list.children[index] ?? null);
    });
  }
  for (const [key, tile] of tiles) {
    if (!seen.has(key)) leave(key, tile);
  }
  const web = processes.filter((one) => one.role === "web");
  const listeners = web.reduce((sum, one) => sum + one.sockets, 0);
  const workers = processes.length - web.length;
  $("summary").textContent =
    `${plural(web.length, "process", "processes")} on ${plural(byHost.size, "host")}, ` +
    `${plural(listeners, "listener")}, ${workers ? plural(workers, "worker") : "no worker"}.`;
  return workers;
}

function grouped(processes) {
  const found = new Map();
  for (const process of processes) found.set(process.host, [...(found.get(process.host) ?? []), process]);
  return found;
}

function releases(processes) {
  const found = new Map(processes.map((one) => [`${one.slot} ${one.release}`, one]));
  return [...found.values()].map((one) => {
    const label = element("span", "release", one.slot ? `${one.slot} ${one.release}` : one.release);
    label.dataset.slot = one.slot || "none";
    return label;
  });
}

function leave(key, tile) {
  tiles.delete(key);
  tile.classList.add("leaving");
  setTimeout(() => {
    const host = tile.closest(".host");
    tile.remove();
    if (host && !host.querySelector(".tile")) host.remove();
  }, LEAVING_MS);
}
