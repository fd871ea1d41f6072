// The panel: shows changes as they happen, how far an upload is, and asks before something is gone for good.
// Without this file every page works with plain forms and links.

const SETTLE_MS = 300;

for (const region of document.querySelectorAll("[data-live]")) watch(region.dataset.live, region.dataset.region);
for (const form of document.querySelectorAll("form[data-upload]")) upload(form);

document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copy], [data-confirm]");
  if (!button) return;
  if (button.dataset.confirm && !confirm(button.dataset.confirm)) event.preventDefault();
  if (!button.dataset.copy) return;
  const field = document.getElementById(button.dataset.copy);
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Press Ctrl+C";
  }
});

function watch(topic, name) {
  const events = new EventSource(`/admin/live?topic=${encodeURIComponent(topic)}`);
  let timer = 0;
  let isFirst = true;
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(() => refresh(name, soon), SETTLE_MS);
  };
  events.addEventListener("change", soon);
  events.addEventListener("open", () => {
    // What happened while there was no connection was missed.
    if (!isFirst) soon();
    isFirst = false;
  });
}

async function refresh(name, again) {
  const region = document.querySelector(`[data-region="${name}"]`);
  if (region.contains(document.activeElement) && document.activeElement.closest("form")) {
    again();
    return;
  }
  const response = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!response.ok || response.redirected) return;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const fresh = page.querySelector(`[data-region="${name}"]`);
  if (!fresh) return;
  const focused = region.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  const open = [...region.querySelectorAll("details")].map((details) => details.open);
  fresh.querySelectorAll("details").forEach((details, place) => {
    details.open = open[place] ?? details.open;
  });
  region.replaceWith(fresh);
  if (focused) fresh.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus();
}

function upload(form) {
  const shown = form.querySelector("[data-upload-progress]");
  const bar = shown.querySelector("progress");
  const words = shown.querySelector("[role=status]");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    const request = new XMLHttpRequest();
    const began = Date.now();
    button.disabled = true;
    shown.hidden = false;
    words.textContent = "Uploading…";
    request.upload.addEventListener("progress", (sent) => {
      if (!sent.lengthComputable) return;
      bar.value = sent.loaded / sent.total;
      const leftS = ((Date.now() - began) / sent.loaded) * (sent.total - sent.loaded) / 1000;
      const left = leftS > 90 ? `${Math.round(leftS / 60)} minutes` : `${Math.ceil(leftS)} seconds`;
      words.textContent = sent.loaded < sent.total ? `${Math.round(bar.value * 100)} %, about ${left} left` : "Arrived. One moment…";
    });
    request.addEventListener("load", () => {
      if (request.responseURL !== form.action) {
        location.assign(request.responseURL);
        return;
      }
      const page = new DOMParser().parseFromString(request.responseText, "text/html");
      document.getElementById("main").replaceWith(page.getElementById("main"));
      document.querySelectorAll("form[data-upload]").forEach(upload);
      document.getElementById("main").focus();
    });
    request.addEventListener("error", () => {
      words.textContent = "The connection was lost. Try again.";
      button.disabled = false;
    });
    request.open("POST", form.action);
    request.setRequestHeader("Accept", "text/html");
    request.send(new FormData(form));
  });
}
