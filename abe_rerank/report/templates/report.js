// The stage shows one candidate under one overlay; cards, words and keys choose which.
(() => {
  const stage = document.getElementById("stage");
  const cards = [...document.querySelectorAll(".card")];
  const keys = document.getElementById("keys");
  let rank = Number(stage.dataset.rank);
  let choice = "marks";

  const radio = (value) => stage.querySelector(`input[name="overlay"][value="${value}"]`);

  function layOver(value) {
    choice = value;
    const shown = radio(value) ? value : "marks";
    for (const overlay of stage.querySelectorAll(".overlay")) {
      overlay.hidden = overlay.dataset.overlay !== shown;
      if (!overlay.hidden) overlay.querySelectorAll(".heat").forEach(paintHeat);
    }
    if (!radio(shown)) return;
    radio(shown).checked = true;
    const caption = stage.querySelector("figcaption");
    const overlay = stage.querySelector(`.overlay[data-overlay="${shown}"]`);
    caption.textContent = shown === "none" ? "" : overlay.dataset.caption ?? caption.dataset.marks;
  }

  function open(next) {
    const template = document.getElementById(`view-${next}`);
    if (!template) return;
    const focused = stage.contains(document.activeElement) ? document.activeElement.id : null;
    rank = next;
    const view = template.content.cloneNode(true);
    view.querySelector("img").src = document.querySelector(`.card[data-rank="${rank}"] img`).src;
    stage.replaceChildren(view);
    stage.dataset.rank = rank;
    for (const card of cards) {
      const current = Number(card.dataset.rank) === rank;
      card.toggleAttribute("data-open", current);
      const link = card.querySelector(".open");
      if (current) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
    layOver(choice);
    if (focused) (document.getElementById(focused) ?? stage).focus({ preventScroll: true });
  }

  function go(next) {
    history.replaceState(null, "", `#rank-${next}`);
    open(next);
  }

  function openFromAddress() {
    const match = /^#rank-(\d+)$/.exec(location.hash);
    if (match) open(Number(match[1]));
  }

  keys?.addEventListener("click", () => { keys.ariaPressed = String(keys.ariaPressed === "false"); });
  document.addEventListener("change", (event) => {
    if (event.target.name === "overlay") layOver(event.target.value);
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-rank]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    go(Number(link.dataset.rank));
    stage.focus({ preventScroll: true });
    stage.scrollIntoView({ block: "start" });
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const inRadios = event.target.type === "radio";
    const step = inRadios ? 0 : { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) go(Math.min(Math.max(rank + step, 1), cards.length));
    else if (keys?.ariaPressed === "false") return;
    else if (event.key === "v") layOver("marks");
    else if (event.key === "0") layOver("none");
    else if (/^[1-9]$/.test(event.key) && radio(event.key)) layOver(event.key);
  });
  addEventListener("hashchange", openFromAddress);
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details.paper")) details.open = true;
    for (const picture of document.querySelectorAll("img[loading]")) picture.loading = "eager";
  });
  layOver(choice);
  openFromAddress();
})();
