// Shows the sandbox: a snapshot first, then what happens, event by event. All words are set as text, never as markup:
// they come from callers and clients, who may say anything.
"use strict";

const KEPT = { calls: 100, conversations: 50, deliveries: 100, mails: 20, requests: 200, turns: 200, messages: 100 };
const STATUS = {
  "ringing": "warn", "in-progress": "good", "completed": "", "failed": "bad", "busy": "warn", "no-answer": "warn",
};

const byId = (id) => document.getElementById(id);
const KINDS = ["calls", "conversations", "deliveries", "mails", "requests"];
const mapOfEach = () => Object.fromEntries(KINDS.map((kind) => [kind, new Map()]));
const state = { account: null, ...mapOfEach() };
const shown = mapOfEach();
const stale = new Set();
const unsaid = []; // turns to be read out once they are drawn
const touched = new Set(); // what somebody opened or closed stays as it is
const opened = []; // calls that opened by themselves, the latest last
let number = -1; // of the last happening that is part of what we show
let waiting = []; // what happens while the snapshot is on its way; null when there is none
let loads = 0;
let clock = null; // { now, at, speed }: the sandbox's time, and ours when it was that

function element(tag, about = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(about)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") made.className = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined)); // strings become text nodes
  return made;
}

function time(stamp) {
  const moment = new Date(stamp);
  const isToday = clock && moment.toDateString() === new Date(clock.now).toDateString();
  const hour = moment.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
  const day = moment.toLocaleDateString([], { day: "numeric", month: "short" });
  return element("time", { datetime: stamp, title: moment.toLocaleString() }, isToday ? hour : `${day} ${hour.slice(0, 5)}`);
}

const pill = (text, kind) => element("span", { class: `pill ${kind}` }, text);
const agentName = (id) => state.account?.agents.find((agent) => agent.id === id)?.name ?? "Deleted agent";

const OTHER = { inbound: "Caller", outbound: "Callee", web: "Visitor" };
const speaker = (call, turn) => (turn.role === "agent" ? agentName(call.agentId) : OTHER[call.direction] ?? "Caller");

// One card or row for each thing. `fresh` builds it, `renew` brings it up to date without closing what somebody opened.

function openable(id, kind) {
  const list = element("ol", { class: "talk", tabindex: "0" });
  const card = element("details", {}, element("summary"), list);
  card.querySelector("summary").addEventListener("click", () => touched.add(`${kind} ${id}`));
  return card;
}

function addTo(list, items, make) {
  const known = new Set([...list.children].map((child) => child.dataset.id));
  const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  for (const item of items) {
    if (known.has(item.id)) continue;
    const made = make(item);
    made.dataset.id = item.id;
    if (known.size) made.classList.add("new");
    list.append(made);
  }
  if (isAtEnd) list.scrollTop = list.scrollHeight;
}

function bubble(who, isOurs, at, content) {
  return element("li", { class: isOurs ? "ours" : "" }, element("span", {}, who, time(at)), content);
}

const draw = {
  calls: {
    fresh: (call) => openable(call.id, "calls"),
    renew(card, call) {
      const other = call.direction === "inbound" ? call.from : call.to;
      const where = { inbound: "from", outbound: "to", web: "on the" }[call.direction] ?? "to";
      const lasted = call.seconds ? element("span", { class: "small faint" }, duration(call.seconds)) : null;
      card.querySelector("summary").replaceChildren(
        element("span", { class: "who" },
          element("strong", {}, other), element("span", { class: "faint" }, ` ${call.direction}, ${agentName(call.agentId)}`)),
        ...[lasted, pill(call.status, STATUS[call.status] ?? ""), time(call.startedAt)].filter(Boolean),
      );
      const list = card.querySelector("ol");
      list.setAttribute("aria-label", `What was said in the call ${where} ${other}`);
      addTo(list, call.turns, (turn) => bubble(speaker(call, turn), turn.role === "agent", turn.at, turn.content));
      if (list.dataset.note === undefined || list.dataset.note !== call.status) {
        list.dataset.note = call.status;
        list.querySelector(".note")?.remove();
        const note = !call.turns.length && (call.isLive ? "Nobody has spoken yet." : "Nobody spoke.");
        if (note) list.append(element("li", { class: "note" }, note));
      }
      if (call.turns.length) list.querySelector(".note")?.remove();
    },
  },
  conversations: {
    fresh: (one) => openable(one.id, "conversations"),
    renew(card, one) {
      const last = one.messages.at(-1);
      card.querySelector("summary").replaceChildren(
        element("span", { class: "who" },
          element("strong", {}, one.participant), element("span", { class: "faint" }, ` with ${one.number}`)),
        ...(last ? [time(last.at)] : []),
      );
      const list = card.querySelector("ol");
      list.setAttribute("aria-label", `Texts with ${one.participant}`);
      addTo(list, one.messages, (text) => {
        const isOurs = text.direction === "outbound";
        const media = text.mediaUrls.map((url) => `[media] ${url}`);
        return bubble(isOurs ? text.from : one.participant, isOurs, text.at, [text.body, ...media].filter(Boolean).join("\n"));
      });
      if (!touched.has(`conversations ${one.id}`)) card.open = one.id === [...state.conversations.keys()].at(-1);
    },
  },
  deliveries: {
    fresh: () => element("tr"),
    renew(row, one) {
      const outcome = one.statusCode === null ? "no answer" : `${one.statusCode}`;
      const more = one.error ?? one.answer;
      row.replaceChildren(
        element("td", {}, time(one.at)),
        element("td", {}, one.event, element("div", { class: "small faint" }, one.agentId ? agentName(one.agentId) : "Project")),
        element("td", {},
          pill(outcome, one.success ? "good" : "bad"), element("span", { class: "small faint" }, 
            ` ${one.milliseconds} ms${one.attempts > 1 ? `, tried ${one.attempts} times` : ""}`),
          more ? element("div", { class: "small faint" }, more.slice(0, 300)) : null),
      );
    },
  },
  mails: {
    fresh: () => element("tr"),
    renew(row, one) {
      row.replaceChildren(element("td", {}, time(one.at)), element("td", {}, one.to), element("td", {}, one.body));
    },
  },
  requests: {
    fresh: () => element("tr"),
    renew(row, one) {
      if (row.children.length) return;
      const path = element("span", { class: "path" }, one.path);
      const told = one.body === null ? path
        : element("details", {}, element("summary", { class: "path" }, one.path), element("pre", {}, one.body));
      row.append(
        element("td", {}, time(one.at)), element("td", {}, element("code", {}, one.method)), element("td", {}, told),
        element("td", {}, answered(one.status)),
      );
    },
  },
};

function answered(status) {
  if (status === null) return pill("dropped", "bad");
  return pill(`${status}`, status < 300 ? "good" : status < 500 ? "warn" : "bad");
}

function duration(seconds) {
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

// The latest three calls show their words unasked; one that is still going on is not closed for another.
function openByItself(call, card) {
  if (opened.length >= 3) {
    const over = opened.findIndex((id) => !state.calls.get(id)?.isLive);
    if (over < 0) return;
    const [id] = opened.splice(over, 1);
    if (!touched.has(`calls ${id}`) && shown.calls.has(id)) shown.calls.get(id).open = false;
  }
  opened.push(call.id);
  card.open = true;
}

function place(kind, id) {
  const list = byId(`${kind}-list`);
  const item = state[kind].get(id);
  let card = shown[kind].get(id);
  if (!item) {
    card?.remove();
    shown[kind].delete(id);
    return;
  }
  if (!card) {
    card = draw[kind].fresh(item);
    shown[kind].set(id, card);
    list.prepend(card); // the newest first
    if (kind === "calls" && (item.isLive || item.isNew || id === state.lastCall)) openByItself(item, card);
  }
  draw[kind].renew(card, item);
}

function drawAccount() {
  const account = state.account;
  byId("balance").textContent = account.balance;
  byId("spent").textContent = account.spent;
  byId("number-count").textContent = `${account.numbers.length} of ${account.numberLimit}`;
  const hook = (webhook) => (webhook ? `${webhook.url}, secret ends ${webhook.secret}` : null);
  byId("agents").replaceChildren(...account.agents.map((agent) => element("li", {},
    element("strong", {}, agent.name), element("span", { class: "faint" }, `${agent.voiceMode} voice`),
    agent.webhook ? element("span", { class: "small faint" }, hook(agent.webhook)) : null)));
  byId("numbers").replaceChildren(...account.numbers.map((one) => element("li", {},
    element("strong", {}, one.phoneNumber), element("span", { class: "faint" }, one.agent ?? "no agent"))));
  byId("webhook").textContent = hook(account.webhook) ?? "None set.";
}

// Drawing waits a moment, so that a hundred turns at once are drawn once.

function redraw(kind, id) {
  if (!stale.size) setTimeout(drawStale, 40);
  stale.add(`${kind} ${id}`);
}

function drawStale() {
  const names = [...stale];
  stale.clear();
  if (state.account) drawAccount();
  for (const name of names) {
    const [kind, id] = name.split(" ");
    if (kind !== "account") place(kind, id);
  }
  for (const kind of Object.keys(shown)) {
    byId(`${kind}-count`).textContent = state[kind].size || "";
    byId(`${kind}-empty`).hidden = state[kind].size > 0;
  }
  for (const [id, turn] of unsaid.splice(0)) say(id, turn);
  byId("live-count").textContent = [...state.calls.values()].filter((call) => call.isLive).length;
}

function keep(kind, id, item) {
  state[kind].set(id, item);
  redraw(kind, id);
  if (state[kind].size > KEPT[kind]) {
    const oldest = state[kind].keys().next().value;
    state[kind].delete(oldest);
    redraw(kind, oldest);
  }
}

function add(items, item, most) {
  if (items.some((known) => known.id === item.id)) return;
  items.push(item);
  if (items.length > most) items.shift();
}

function say(id, turn) {
  const call = state.calls.get(id);
  if (!call || !shown.calls.get(id)?.open) return; // with 200 calls at once nobody could listen
  const log = byId("said");
  log.append(element("p", {}, `${speaker(call, turn)}: ${turn.content}`));
  while (log.children.length > 20) log.firstChild.remove();
}

const happen = {
  account(account) {
    state.account = account;
    redraw("account", "");
    // Names of agents stand on the cards.
    for (const id of state.calls.keys()) redraw("calls", id);
  },
  call(call) {
    const known = state.calls.get(call.id);
    keep("calls", call.id, { ...call, turns: known?.turns ?? [], isNew: known?.isNew ?? call.isLive });
  },
  turn(turn) {
    const call = state.calls.get(turn.callId);
    if (!call) return;
    add(call.turns, turn, KEPT.turns);
    redraw("calls", call.id);
    unsaid.push([call.id, turn]);
  },
  message(message) {
    const known = state.conversations.get(message.conversation.id);
    const conversation = { ...message.conversation, messages: known?.messages ?? [] };
    add(conversation.messages, message, KEPT.messages);
    state.conversations.delete(conversation.id); // to the end: it is the latest now
    shown.conversations.get(conversation.id)?.parentNode.prepend(shown.conversations.get(conversation.id));
    keep("conversations", conversation.id, conversation);
  },
  delivery: (delivery) => keep("deliveries", delivery.id, delivery),
  mail: (mail) => keep("mails", mail.id, mail),
  request: (request) => keep("requests", `r${request.number}`, request),
  reset: () => load(),
  dropped: () => load(),
};

function hear(kind, data) {
  if (waiting) {
    waiting.push([kind, data]);
    return;
  }
  if (data.number !== undefined) {
    if (data.number <= number) return;
    number = data.number;
    clock = { ...clock, now: Date.parse(data.now), at: performance.now() };
  }
  happen[kind](data);
}

async function load() {
  const turn = ++loads;
  waiting = [];
  const answer = await fetch("/__sandbox/view", { headers: { Authorization: `Bearer ${token}` } });
  if (answer.status === 401) throw REFUSED;
  const view = await answer.json();
  if (turn !== loads) return;
  number = view.number;
  clock = { now: Date.parse(view.now), at: performance.now(), speed: view.speed };
  state.account = view.account;
  const calls = view.calls.reverse();
  state.lastCall = calls.at(-1)?.id;
  fill("calls", calls.map((call) => [call.id, call]));
  fill("conversations", view.conversations.reverse().map((one) => [one.id, one]));
  fill("deliveries", view.deliveries.reverse().map((one) => [one.id, one]));
  fill("mails", view.mails.reverse().map((one) => [one.id, one]));
  fill("requests", view.requests.reverse().map((one, index) => [`s${turn}-${index}`, one]));
  drawStale();
  const missed = waiting;
  waiting = null;
  for (const [kind, data] of missed) hear(kind, data);
}

function fill(kind, items) {
  const next = new Map(items);
  for (const id of shown[kind].keys()) if (!next.has(id)) redraw(kind, id);
  state[kind] = next;
  for (const id of next.keys()) redraw(kind, id);
}

function tell(text, kind) {
  if (byId("state").textContent === text) return;
  byId("state").textContent = text;
  byId("state").className = `pill ${kind}`;
}

// The link has the token after its #, which is sent nowhere. It is taken out of the address, and kept for this tab, so
// that the page can be loaded again.
function findToken() {
  const [, given] = location.hash.match(/^#token=([0-9a-f]+)$/) ?? [];
  if (given) {
    sessionStorage.setItem("token", given);
    history.replaceState(null, "", location.pathname);
  }
  return sessionStorage.getItem("token");
}

const token = findToken();
const REFUSED = Symbol("the token is of another sandbox");
const OPEN_THE_LINK = "open the link that the sandbox printed when it started";

// Whoever opens the link in the tab of this page only changes what follows the #.
addEventListener("hashchange", () => {
  if (location.hash.startsWith("#token=")) location.reload();
});

function watch() {
  if (!token) {
    tell(OPEN_THE_LINK, "bad");
    return;
  }
  const events = new EventSource(`/__sandbox/events?token=${token}`);
  events.onopen = () => load().then(() => tell("live", "good"), () => tell("not readable", "bad"));
  events.onerror = () => {
    tell("reconnecting", "warn");
    if (events.readyState === EventSource.CLOSED) {
      events.close();
      // A sandbox that was started again with another key printed another link.
      load().then(
        () => setTimeout(watch, 2000),
        (error) => (error === REFUSED ? tell(OPEN_THE_LINK, "bad") : setTimeout(watch, 2000)),
      );
    }
  };
  for (const kind of Object.keys(happen)) {
    events.addEventListener(kind, (event) => hear(kind, JSON.parse(event.data)));
  }
}

setInterval(() => {
  if (!clock) return;
  const now = new Date(clock.now + (performance.now() - clock.at) * clock.speed);
  const hour = now.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
  byId("clock").textContent = clock.speed === 1 ? hour : `${hour} × ${clock.speed}`;
}, 250);
watch();
