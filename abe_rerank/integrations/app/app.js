// The stage shows one run: one picture large, or two side by side, under one overlay; the server says when it changes.
(() => {
  const id = (name) => document.getElementById(name);
  const state = { run: "", version: "", first: null, second: null, overlay: "marks", html: "", keys: [], asked: 0 };
  const NOTHING = "Pictures appear here as they are drawn, the best-bound one first.";
  let seen = null;

  window.abeFollow = () => {
    choose("");
    if (matchMedia("(max-width: 48rem)").matches) id("abe-main").scrollIntoView({ behavior: "smooth" });
  };

  // Asking the server.
  async function post(path, body) {
    const answer = await fetch(path, {
      method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
    });
    if (!answer.ok) tell((await answer.json()).error);
  }

  async function look() {
    for (;;) {
      const { run, asked } = state;
      try {
        const query = new URLSearchParams({ run, version: state.version });
        const answer = await fetch(`abe/look?${query}`);
        const data = await answer.json();
        if (asked !== state.asked) continue;
        state.version = String(data.version ?? "");
        if (!answer.ok) tell(data.error);
        else show(data);
      } catch (error) {
        tell("abe-rerank app does not answer; is it still running?");
        state.version = "";
        await new Promise((done) => { setTimeout(done, 1500); });
      }
    }
  }

  // Another run is looked at: the look that waits for news of the last one counts no more.
  function choose(run) {
    if (run !== state.run) Object.assign(state, { first: null, second: null, overlay: "marks" });
    Object.assign(state, { run, version: "", asked: state.asked + 1 });
    const address = run ? `#run=${encodeURIComponent(run)}` : location.pathname + location.search;
    history.replaceState(null, "", address);
    once();
  }

  async function once() {
    const { run, asked } = state;
    const data = await (await fetch(`abe/look?${new URLSearchParams({ run })}`)).json();
    if (asked !== state.asked) return;
    state.version = String(data.version ?? "");
    show(data);
  }

  function tell(error) {
    id("abe-error").textContent = error ?? "";
    id("abe-error").hidden = !error;
  }

  // What there is to see.
  function show(data) {
    const before = seen;
    seen = data;
    tell(data.error);
    const making = ["waiting", "loading", "drawing", "scoring", "stopping"].includes(data.state);
    id("abe-stage").dataset.state = data.state;
    const there = data.keys?.length ?? 0;
    id("abe-status").textContent = data.status ?? "Type a prompt, then press Draw.";
    const bar = id("abe-progress");
    bar.hidden = !making;
    if (there || data.state === "waiting") bar.value = data.wanted ? there / data.wanted : 0;
    else bar.removeAttribute("value");
    id("abe-stop").hidden = !making;
    id("abe-stop").disabled = data.state === "stopping";
    const left = (data.wanted ?? 0) - there;
    id("abe-go-on").hidden = making || !data.drawn || left <= 0;
    id("abe-more").hidden = making || !data.more || left > 0 || !there;
    link(id("abe-page"), data.page);
    id("abe-commands").hidden = !data.command;
    write("abe-command", data.command);
    write("abe-show", data.show);
    const elsewhere = data.busy && data.busy.run !== data.run;
    id("abe-now").hidden = !elsewhere;
    id("abe-now").textContent = elsewhere ? `Being made: ${short(data.busy.prompt)} (${data.busy.status})` : "";
    if (!before || before.run !== data.run || before.state !== data.state) shelf();
    if (before && before.run !== data.run && !state.run) Object.assign(state, { first: null, second: null });
    if (data.html !== state.html || (before && before.run !== data.run)) put(data, making ? left : 0);
    else ghosts(making ? left : 0);
  }

  const short = (text) => text.length > 40 ? `${text.slice(0, 39)}…` : text;

  function write(name, text) {
    id(name).textContent = text ?? "";
    id(name).parentElement.hidden = !text;
  }

  function link(anchor, address) {
    anchor.hidden = !address;
    if (address) anchor.href = address;
  }

  function put(data, left) {
    const focus = document.activeElement?.closest("[data-key], [id^='word-']");
    const back = focus && (focus.id ? `#${focus.id}` : `[data-key="${CSS.escape(focus.dataset.key)}"] .open`);
    const known = new Set(data.run === id("abe-run").dataset.run ? state.keys : data.keys);
    state.html = data.html;
    state.keys = data.keys ?? [];
    id("abe-run").dataset.run = data.run;
    id("abe-run").innerHTML = data.html;
    for (const card of id("abe-run").querySelectorAll(".card")) {
      const key = state.keys[Number(card.dataset.rank) - 1];
      card.dataset.key = key;
      card.classList.toggle("new", !known.has(key));
      const beside = document.createElement("button");
      Object.assign(beside, { type: "button", className: "beside", textContent: "side by side" });
      beside.setAttribute("aria-label", `side by side: ${card.querySelector("h3 span").textContent}`);
      card.append(beside);
    }
    stages();
    ghosts(left);
    if (back) id("abe-run").querySelector(back)?.focus({ preventScroll: true });
  }

  // A place for each picture that is still to come.
  function ghosts(left) {
    const gallery = id("abe-run").querySelector(".gallery");
    if (!gallery) {
      if (left > 0 && seen?.state !== "waiting") id("abe-run").innerHTML = '<div class="ghost large" aria-hidden="true"></div>';
      else if (!state.html) id("abe-run").innerHTML = `<p class="nothing">${NOTHING}</p>`;
      return;
    }
    gallery.hidden = gallery.children.length + left <= 1;
    gallery.querySelectorAll(".ghost").forEach((ghost) => ghost.remove());
    for (let k = 0; k < Math.min(left, 24); k++) {
      const ghost = document.createElement("div");
      ghost.className = "card ghost";
      ghost.ariaHidden = "true";
      gallery.append(ghost);
    }
  }

  const rankOf = (key) => state.keys.indexOf(key) + 1;

  function stages() {
    const stage = id("stage");
    if (!stage) return;
    const picked = Number(stage.dataset.rank);
    const first = rankOf(state.first) || picked;
    const second = rankOf(state.second);
    fill(stage, first);
    document.querySelectorAll("#abe-run .stage.second").forEach((other) => other.remove());
    id("abe-run").classList.toggle("pair", second > 0);
    if (second > 0) {
      const other = document.createElement("section");
      other.className = "stage second";
      other.setAttribute("aria-label", "another image, side by side");
      stage.after(other);
      fill(other, second);
      other.querySelectorAll("[id]").forEach((part) => part.removeAttribute("id"));
      other.querySelectorAll("input").forEach((part) => { part.name = "overlay-second"; });
      other.querySelector("fieldset")?.remove();
    }
    for (const card of id("abe-run").querySelectorAll(".card[data-rank]")) {
      const rank = Number(card.dataset.rank);
      card.toggleAttribute("data-open", rank === first || rank === second);
      const open = card.querySelector(".open");
      if (rank === first) open.setAttribute("aria-current", "true");
      else open.removeAttribute("aria-current");
      card.querySelector(".beside").setAttribute("aria-pressed", String(rank === second));
      card.querySelector(".beside").hidden = rank === first;
    }
    layOver(state.overlay);
  }

  function fill(stage, rank) {
    const view = id(`view-${rank}`).content.cloneNode(true);
    view.querySelector("img").src = id("abe-run").querySelector(`.card[data-rank="${rank}"] img`).src;
    stage.replaceChildren(view);
    stage.dataset.rank = rank;
  }

  function layOver(value) {
    const radio = id("stage")?.querySelector(`input[name="overlay"][value="${value}"]`);
    const shown = radio ? value : "marks";
    state.overlay = value;
    if (radio) radio.checked = true;
    for (const stage of id("abe-run").querySelectorAll(".stage")) {
      for (const overlay of stage.querySelectorAll(".overlay")) {
        overlay.hidden = overlay.dataset.overlay !== shown;
        if (!overlay.hidden) overlay.querySelectorAll(".heat").forEach(paintHeat);
      }
      const caption = stage.querySelector("figcaption");
      const overlay = stage.querySelector(`.overlay[data-overlay="${shown}"]`);
      if (caption) caption.textContent = shown === "none" ? "" : overlay?.dataset.caption ?? caption.dataset.marks;
    }
    for (const word of id("abe-run").querySelectorAll(".asked label")) {
      word.toggleAttribute("data-shown", word.htmlFor === `word-${shown}`);
    }
  }

  // The runs that are there.
  async function shelf() {
    const runs = await (await fetch("abe/runs")).json();
    if (!Array.isArray(runs)) return;
    id("abe-runs").replaceChildren(...runs.map(entry));
    if (!runs.length) id("abe-runs").textContent = "Nothing was drawn yet.";
  }

  function entry(run) {
    const line = document.createElement("li");
    const open = document.createElement(run.evaluation ? "a" : "button");
    const picture = document.createElement(run.picture ? "img" : "span");
    const text = document.createElement("span");
    const title = document.createElement("b");
    const about = document.createElement("small");
    if (run.picture) Object.assign(picture, { src: `abe/runs/${encodeURIComponent(run.name)}/best.png`, alt: "", loading: "lazy" });
    title.textContent = run.title;
    const made = /^(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)/.exec(run.name);
    const when = made ? `${made[1]}-${made[2]}-${made[3]} ${made[4]}:${made[5]}` : run.name;
    about.textContent = `${run.count} ${run.evaluation ? "prompts, evaluated" : run.count === 1 ? "picture" : "pictures"} · ${when}`;
    text.append(title, about);
    open.append(picture, text);
    if (run.evaluation) {
      open.target = "_blank";
      if (run.page) open.href = `abe/runs/${encodeURIComponent(run.name)}/report.html`;
    } else {
      open.type = "button";
      open.dataset.run = run.name;
      if (run.name === (state.run || seen?.run)) open.setAttribute("aria-current", "true");
    }
    line.append(open);
    return line;
  }

  // What is chosen.
  document.addEventListener("change", (event) => {
    if (event.target.name === "overlay") layOver(event.target.value);
  });

  document.addEventListener("click", (event) => {
    const at = (selector) => event.target.closest?.(selector);
    const run = () => state.run || seen?.run;
    if (at("#abe-stop")) post("abe/stop", { run: run() });
    else if (at("#abe-go-on") || at("#abe-more")) goOn(run());
    else if (at("#abe-now")) choose("");
    else if (at("#abe-runs [data-run]")) choose(at("[data-run]").dataset.run);
    else if (at("#abe-run .beside")) {
      const key = at(".card").dataset.key;
      state.second = state.second === key ? null : key;
      state.first ??= state.keys[Number(id("stage").dataset.rank) - 1];
      stages();
      id("stage").scrollIntoView({ block: "start", behavior: "smooth" });
    } else if (at("#abe-run a[data-rank]") && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      open(Number(at("a[data-rank]").dataset.rank));
      id("stage").focus({ preventScroll: true });
      id("stage").scrollIntoView({ block: "start", behavior: "smooth" });
    } else if (at("#keys")) id("keys").ariaPressed = String(id("keys").ariaPressed === "false");
  });

  async function goOn(run) {
    await post("abe/go-on", { run, more: 4 });
    if (run === state.run) choose("");
  }

  // The best one stays chosen as better ones come, unless another was opened.
  function open(rank) {
    state.first = rank === 1 ? null : state.keys[rank - 1];
    if (state.second === state.keys[rank - 1]) state.second = null;
    stages();
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !event.target.closest?.("#abe-run")) return;
    const step = event.target.type === "radio" ? 0 : { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const rank = Number(id("stage")?.dataset.rank);
    if (step && state.keys[rank - 1 + step]) open(rank + step);
    else if (id("keys")?.ariaPressed === "false") return;
    else if (event.key === "v") layOver("marks");
    else if (event.key === "0") layOver("none");
    else if (/^[1-9]$/.test(event.key)) layOver(event.key);
  });

  addEventListener("hashchange", () => choose(decodeURIComponent(/^#run=(.+)$/.exec(location.hash)?.[1] ?? "")));

  // The stage is put on the page by Gradio, some time after this script.
  function begin() {
    if (!id("abe-run") || !id("abe-runs")) {
      setTimeout(begin, 50);
      return;
    }
    state.run = decodeURIComponent(/^#run=(.+)$/.exec(location.hash)?.[1] ?? "");
    look();
  }
  begin();
})();
