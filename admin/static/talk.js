// The talk page: sends without reloading, and shows answers as they are written.
// Without this file the page works with plain forms.

const DAY_MS = 86_400_000;
const TYPING_MS = 7000;
const NEAR_END_PX = 120;

const composer = document.getElementById("composer");
const invitation = document.querySelector("form[data-invitation]");

if (composer) talk(composer);
if (invitation) comeIn(invitation);

function talk(form) {
  const address = form.action.replace(/\/messages$/, "");
  const name = form.dataset.name;
  const lines = document.getElementById("lines");
  const log = document.getElementById("log");
  const writing = document.getElementById("writing");
  const toEnd = document.getElementById("to-end");
  const chips = document.getElementById("chips");
  const text = document.getElementById("text");
  const kept = `unsent:${address}`;
  let lastId = Math.max(0, ...[...log.querySelectorAll("[data-id]")].map((line) => Number(line.dataset.id)));
  let draft = null;
  let typingEnds = 0;
  let retryMs = 1000;

  showDays();
  toBottom();
  listen();
  restore();

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!text.value.trim()) return;
    send(text.value.trim());
    text.value = "";
    keep();
    fit();
  });

  text.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });

  text.addEventListener("input", () => {
    keep();
    fit();
  });

  chips?.addEventListener("submit", (event) => {
    event.preventDefault();
    if (event.submitter) send(event.submitter.value);
    text.focus();
  });

  toEnd.addEventListener("click", () => {
    toBottom();
    text.focus();
  });

  lines.addEventListener("scroll", () => {
    if (isAtEnd()) toEnd.hidden = true;
  });

  // ------------------------------------------------------------------ sending

  function send(words) {
    const clientId = crypto.getRandomValues(new Uint32Array(3)).reduce((id, part) => id + part.toString(36), "w");
    const line = lineOf({ html: paragraphs(words), is_ours: false, at: new Date().toISOString() });
    line.dataset.client = clientId;
    log.append(line);
    welcomeIsOver();
    showDays();
    toBottom();
    post(line, { text: words, client_id: clientId });
  }

  async function post(line, message) {
    line.classList.add("waiting");
    status(line, "Sending…");
    try {
      const response = await fetch(`${address}/messages`, {
        method: "POST",
        headers: { "Content-Type": "application/json", Accept: "application/json" },
        body: JSON.stringify(message),
      });
      const answer = await response.json().catch(() => ({}));
      if (!response.ok) throw new Error(answer.error?.message ?? "It could not be sent.");
      if (answer.event_id) line.dataset.key = answer.event_id;
      line.classList.remove("waiting");
      status(line, "");
    } catch (error) {
      if (line.dataset.id) return;
      const words = error instanceof TypeError ? "Not sent: there is no connection." : error.message;
      status(line, words, () => post(line, message));
    }
  }

  // ------------------------------------------------------------------ receiving

  function listen() {
    const events = new EventSource(`${address}/events?after=${lastId}`);
    events.addEventListener("open", () => {
      retryMs = 1000;
      if (writing.dataset.says === "lost") say("");
    });
    events.addEventListener("message", (event) => receive(JSON.parse(event.data)));
    events.addEventListener("action", (event) => {
      if (JSON.parse(event.data).action !== "read") showTyping();
    });
    events.addEventListener("draft", (event) => showDraft(JSON.parse(event.data).text));
    events.addEventListener("error", () => {
      say("lost");
      if (events.readyState !== EventSource.CLOSED) return;
      setTimeout(listen, retryMs);
      retryMs = Math.min(retryMs * 2, 30_000);
    });
  }

  function receive(message) {
    if (message.id <= lastId && log.querySelector(`[data-id="${message.id}"]`)) return;
    lastId = Math.max(lastId, message.id);
    if (!hasSomething(message.html)) return;
    const wasAtEnd = isAtEnd();
    const line = lineOf(message);
    const mine = message.is_ours ? null : findMine(message.key);
    if (mine) mine.replaceWith(line);
    else log.insertBefore(line, log.querySelector(".waiting"));
    if (message.is_ours) {
      clearDraft();
      say("");
    }
    welcomeIsOver();
    showDays();
    if (wasAtEnd) toBottom();
    else if (message.is_ours) toEnd.hidden = false;
  }

  function findMine(key) {
    const waiting = [...log.querySelectorAll("[data-client]")];
    return waiting.find((line) => line.dataset.key === key || key.endsWith(`:${line.dataset.client}`));
  }

  // ------------------------------------------------------------------ showing

  function lineOf(message) {
    const line = document.createElement("li");
    line.className = message.is_ours ? "said" : "said mine";
    if (message.id) line.dataset.id = message.id;
    if (message.key) line.dataset.key = message.key;
    line.dataset.at = message.at;
    const who = document.createElement("span");
    who.className = "unseen";
    who.textContent = `${message.is_ours ? name : "You"}:`;
    const bubble = document.createElement("div");
    bubble.className = "bubble";
    // The server made this markup from the words, with everything else escaped.
    bubble.innerHTML = message.html;
    const meta = document.createElement("div");
    meta.className = "meta";
    const time = document.createElement("time");
    time.dateTime = message.at;
    time.textContent = clock(message.at);
    meta.append(time);
    if (message.label) meta.append(labelled(message.label));
    line.append(who, bubble, meta);
    return line;
  }

  function labelled(words) {
    const label = document.createElement("span");
    label.textContent = words;
    return label;
  }

  function status(line, words, again) {
    const meta = line.querySelector(".meta");
    meta.querySelectorAll(".state").forEach((old) => old.remove());
    if (!words) return;
    const state = labelled(words);
    state.className = again ? "state failed" : "state";
    meta.append(state);
    if (!again) return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "bare state";
    button.textContent = "Try again";
    button.addEventListener("click", again, { once: true });
    meta.append(button);
  }

  function paragraphs(words) {
    const holder = document.createElement("div");
    const said = document.createElement("p");
    said.className = "words";
    said.textContent = words;
    holder.append(said);
    return holder.innerHTML;
  }

  function showDays() {
    log.querySelectorAll(".day").forEach((day) => day.remove());
    let before = "";
    for (const line of log.querySelectorAll(".said")) {
      line.querySelector("time").textContent = clock(line.dataset.at);
      const day = dayOf(line.dataset.at);
      if (day !== before) {
        const label = document.createElement("li");
        label.className = "day";
        label.textContent = day;
        line.before(label);
      }
      before = day;
    }
  }

  function showTyping() {
    typingEnds = Date.now() + TYPING_MS;
    if (!draft) say("typing");
    setTimeout(() => {
      if (Date.now() >= typingEnds && writing.dataset.says === "typing") say("");
    }, TYPING_MS + 50);
  }

  function say(what) {
    if ((writing.dataset.says ?? "") === what) return;
    writing.dataset.says = what;
    writing.replaceChildren();
    if (what === "typing") {
      const dots = document.createElement("span");
      dots.className = "dots";
      dots.append(...["", "", ""].map(() => document.createElement("i")));
      writing.append(dots, `${name} is writing…`);
    } else if (what === "lost") {
      writing.append("No connection. Trying again…");
    }
  }

  function showDraft(words) {
    const wasAtEnd = isAtEnd();
    if (!draft) {
      draft = document.createElement("div");
      draft.className = "log draft";
      // Read aloud once, when it is finished.
      draft.setAttribute("aria-hidden", "true");
      const line = document.createElement("div");
      line.className = "said";
      const bubble = document.createElement("div");
      bubble.className = "bubble words";
      line.append(bubble);
      draft.append(line);
      log.parentElement.after(draft);
      say("");
    }
    draft.querySelector(".bubble").textContent = words;
    if (wasAtEnd) toBottom();
  }

  function clearDraft() {
    draft?.remove();
    draft = null;
  }

  function welcomeIsOver() {
    document.getElementById("welcome")?.remove();
    if (chips) chips.hidden = true;
  }

  // ------------------------------------------------------------------ the page

  function isAtEnd() {
    return lines.scrollHeight - lines.scrollTop - lines.clientHeight < NEAR_END_PX;
  }

  function toBottom() {
    lines.scrollTop = lines.scrollHeight;
    toEnd.hidden = true;
  }

  function fit() {
    text.style.height = "auto";
    text.style.height = `${text.scrollHeight}px`;
  }

  function keep() {
    try {
      sessionStorage.setItem(kept, text.value);
    } catch {
      // Then it is not kept.
    }
  }

  function restore() {
    try {
      text.value ||= sessionStorage.getItem(kept) ?? "";
    } catch {
      // Then there is nothing to restore.
    }
    fit();
    if (matchMedia("(pointer: fine)").matches) text.focus();
  }
}

// The line that brought an invitation has no words.
function hasSomething(html) {
  const holder = document.createElement("template");
  holder.innerHTML = html;
  return holder.content.textContent.trim() !== "" || holder.content.querySelector("img, audio, video") !== null;
}

function clock(at) {
  return new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(new Date(at));
}

function dayOf(at) {
  const midnight = (date) => new Date(date.getFullYear(), date.getMonth(), date.getDate());
  const day = midnight(new Date(at));
  const daysAgo = Math.round((midnight(new Date()) - day) / DAY_MS);
  if (daysAgo === 0) return "Today";
  if (daysAgo === 1) return "Yesterday";
  const year = day.getFullYear() === new Date().getFullYear() ? undefined : "numeric";
  return new Intl.DateTimeFormat("en-GB", { weekday: "long", day: "numeric", month: "long", year }).format(day);
}

// An invitation is honoured a moment after it was sent: wait until the door is open, then go in.
function comeIn(form) {
  const status = form.querySelector("[role=status]");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    status.textContent = "One moment…";
    try {
      const before = await lastId(form.dataset.invitation);
      const response = await fetch(form.action, {
        method: "POST",
        headers: { "Content-Type": "application/json", Accept: "application/json" },
        body: JSON.stringify({ token: form.elements.token.value }),
      });
      if (!response.ok) throw new Error("refused");
      for (let tries = 0; tries < 20; tries += 1) {
        await new Promise((resolve) => setTimeout(resolve, 500));
        // Whoever is not let in is told so, as whoever is gets greeted: then there is nothing more to wait for.
        const isDecided = (await lastId(form.dataset.invitation)) !== before;
        const page = await (await fetch(form.dataset.invitation, { headers: { Accept: "text/html" } })).text();
        if (page.includes('id="composer"')) {
          location.replace(form.dataset.invitation);
          return;
        }
        if (isDecided) break;
      }
      location.replace(`${form.dataset.invitation}?refused=1`);
    } catch {
      status.textContent = "That did not work. Check your connection and try again.";
      button.disabled = false;
    }
  });
}

async function lastId(address) {
  const response = await fetch(`${address}/messages`, { headers: { Accept: "application/json" } });
  if (!response.ok) return 0;
  const ours = (await response.json()).messages.filter((message) => message.is_ours);
  return Math.max(0, ...ours.map((message) => message.id));
}
