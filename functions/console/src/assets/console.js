// The script of the console. Pages work without it for reading. It keeps times up to date, lets hidden pages rest, sends the
// version of the live part with each poll, and adds the keys.
"use strict";
(() => {
  const ms = { s: 1000, min: 60000, h: 3600000, d: 86400000 };
  // How far the clock of the deployment is ahead of the clock of this machine.
  let ahead = 0;

  const length = (time) => {
    const whole = (unit) => Math.floor(time / ms[unit]);
    if (time < ms.min) return `${whole("s")} s`;
    if (time < ms.h) return `${whole("min")} min ${Math.floor((time % ms.min) / ms.s)} s`;
    if (time < ms.d) return `${whole("h")} h ${Math.floor((time % ms.h) / ms.min)} min`;
    return `${whole("d")} d ${Math.floor((time % ms.d) / ms.h)} h`;
  };

  const readClock = () => {
    const live = document.getElementById("live");
    if (live) ahead = Number(live.dataset.now) - Date.now();
  };

  const showTimes = () => {
    if (document.hidden) return;
    const now = Date.now() + ahead;
    for (const time of document.querySelectorAll("time[data-at]")) {
      const left = Number(time.dataset.at) - now;
      time.textContent = left > 0 ? `in ${length(left)}` : `${length(-left)} ago`;
    }
  };

  readClock();
  showTimes();
  setInterval(showTimes, 1000);

  const isLive = (element) => element && element.id === "live";

  document.addEventListener("htmx:beforeRequest", (event) => {
    // A form in the live part that is open must not disappear.
    const isBusy = () => document.querySelector("#live details.confirm[open], #live form :focus");
    if (isLive(event.detail.elt) && (document.hidden || isBusy())) event.preventDefault();
  });
  document.addEventListener("htmx:configRequest", (event) => {
    const tag = event.detail.elt.dataset.tag;
    if (tag) event.detail.headers["If-None-Match"] = tag;
  });

  let open = [];
  let closed = [];
  let focused = "";
  document.addEventListener("htmx:beforeSwap", () => {
    const ids = (query) => [...document.querySelectorAll(query)].map((element) => element.id);
    open = ids("#live details[id][open]");
    closed = ids("#live details[id]:not([open])");
    const at = document.activeElement;
    focused = at && at.closest("#live") ? at.getAttribute("href") || "" : "";
  });
  document.addEventListener("htmx:afterSettle", () => {
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    for (const id of closed) document.getElementById(id)?.removeAttribute("open");
    if (focused) document.querySelector(`#live a[href="${CSS.escape(focused)}"]`)?.focus();
    readClock();
    showTimes();
  });

  const rows = () => [...document.querySelectorAll("[data-row]")].filter((row) => row.querySelector("a, input, button"));
  const move = (by) => {
    const all = rows();
    const at = all.findIndex((row) => row.contains(document.activeElement));
    const row = all[Math.min(Math.max(at + by, 0), all.length - 1)];
    row?.querySelector("a, input:not([type=hidden]), button")?.focus();
  };

  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.closest("input, textarea, select");
    if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
    const help = document.getElementById("help");
    if (event.key === "/") document.getElementById("search")?.focus();
    else if (event.key === "j") move(1);
    else if (event.key === "k") move(-1);
    else if (event.key === "?" && help && !help.open) help.showModal();
    else return;
    event.preventDefault();
  });
})();
