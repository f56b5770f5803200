// Prompts of one run, or of two side by side, from the data inside the page: filtered, ordered, a page at a time.
(() => {
  const PER_PAGE = 12;
  const { signs, sides, prompts } = JSON.parse(document.getElementById("data").textContent);
  const filters = document.getElementById("filters");
  const list = document.getElementById("prompts");
  const count = document.getElementById("count");
  const viewer = document.getElementById("viewer");
  let shown = [];
  let page = 0;
  let open = null;

  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === false || value === null || value === undefined) continue;
      made.setAttribute(name, value === true ? "" : value);
    }
    made.append(...children.filter((child) => child !== null));
    return made;
  }

  // What is in an image.
  const cosine = (value) => value === null ? "–" : (value < 0 ? "−" : "+") + Math.abs(value).toFixed(3);
  const inPlace = (image) => image.pairs.filter((pair) => pair.verdict === "bound").length;
  const share = (image) => image.pairs.length ? inPlace(image) / image.pairs.length : 1;
  const worth = (image) => image.value === null ? -1 : share(image);

  for (const prompt of prompts) {
    prompt.picked = prompt.images.map((images) => images.reduce(
      (best, image, k) => (image.value ?? -Infinity) > (images[best].value ?? -Infinity) ? k : best, 0));
    prompt.best = prompt.images.map((images, side) => images[prompt.picked[side]]);
  }

  // Which prompts, in which order.
  const value = (image) => image.value ?? -1e9;
  const badness = (prompt) => Math.min(...prompt.best.map(worth));
  const lead = (prompt) => worth(prompt.best[1]) - worth(prompt.best[0]);
  const leadOfScore = (prompt) => value(prompt.best[1]) - value(prompt.best[0]);
  const gain = (prompt) => worth(prompt.best[0]) - worth(prompt.images[0][0]);
  const total = (prompt) => value(prompt.best[0]);
  const orders = {
    worst: (a, b) => badness(a) - badness(b) || total(a) - total(b),
    best: (a, b) => badness(b) - badness(a) || total(b) - total(a),
    gain: (a, b) => gain(b) - gain(a) || total(b) - total(a),
    b: (a, b) => lead(b) - lead(a) || leadOfScore(b) - leadOfScore(a),
    a: (a, b) => lead(a) - lead(b) || leadOfScore(a) - leadOfScore(b),
    run: () => 0,
  };

  function holds(image, verdict) {
    if (verdict === "by the oracle") return image.right === false;
    return verdict === "unscored" ? image.value === null : image.pairs.some((pair) => pair.verdict === verdict);
  }

  function choose() {
    const { category, verdict, anywhere, order, words } = filters.elements;
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    shown = prompts.filter((prompt) => {
      if (category.value && prompt.category !== category.value) return false;
      const text = `${prompt.id} ${prompt.text}`.toLowerCase();
      if (!wanted.every((word) => text.includes(word))) return false;
      const images = anywhere.checked ? prompt.images.flat() : prompt.best;
      return !verdict.value || images.some((image) => holds(image, verdict.value));
    });
    shown.sort(orders[order.value]);
    page = 0;
    draw();
  }

  // Pictures with what was found in them.
  function frames(image, failedOnly) {
    const found = [];
    image.objects.forEach((object, place) => {
      const pairs = image.pairs.filter((pair) => pair.object === place && pair.verdict !== "not found");
      const failed = pairs.filter((pair) => pair.verdict !== "bound");
      if (!pairs.length || (failedOnly && !failed.length)) return;
      found.push(frame(object, (failedOnly ? failed : pairs).map((pair) => pair.mark), failed.length > 0));
    });
    const gone = new Set(image.pairs.filter((pair) => pair.verdict === "not found").map((pair) => pair.mark));
    if (gone.size) found.push(element("i", { class: "missing" }, ...[...gone].map((mark) => element("b", {}, mark))));
    return found;
  }

  function frame(object, marks, failed) {
    const [left, top, right, bottom] = object.box.map((edge) => 100 * edge);
    const name = ["frame", failed && "failed", top < 10 && "high", left > 60 && "right"].filter(Boolean).join(" ");
    const made = element("i", { class: name }, ...(marks.length ? [element("b", {}, marks.join(" · "))] : []));
    place(made, left, top, right, bottom);
    return made;
  }

  function place(made, left, top, right, bottom) {
    Object.assign(made.style, {
      left: `${left}%`, top: `${top}%`, width: `${right - left}%`, height: `${bottom - top}%`,
    });
  }

  function heat(object) {
    const canvas = element("canvas", { class: "heat", "data-rows": object.rows, "data-columns": object.columns,
      "data-levels": object.levels });
    place(canvas, ...object.window.map((edge) => 100 * edge));
    paintHeat(canvas);
    return canvas;
  }

  function picture(prompt, image, lazy) {
    if (image.src === null) return element("span", { class: "none" }, image.reason ?? "no image");
    const shot = element("img", { alt: `${prompt.text}, ${title(image)}`, loading: lazy ? "lazy" : "eager",
      decoding: "async", src: image.src });
    shot.addEventListener("error", () => shot.replaceWith(
      element("span", { class: "none" }, "the image file is not there")), { once: true });
    return shot;
  }

  const title = (image) => image.seed === null ? `image ${image.candidate + 1}` : `seed ${image.seed}`;

  // Where frames lie depends on the shape of the picture: the box around both takes that shape once it is known.
  function shaped(canvas) {
    const shot = canvas.querySelector("img");
    if (!shot) return canvas;
    const shape = () => { canvas.style.aspectRatio = `${shot.naturalWidth} / ${shot.naturalHeight}`; };
    if (shot.complete && shot.naturalWidth) shape();
    else shot.addEventListener("load", shape, { once: true });
    return canvas;
  }

  function shotOf(prompt, side, k) {
    const image = prompt.images[side][k];
    const picked = k === prompt.picked[side] && image.value !== null;
    const canvas = shaped(element("span", { class: "canvas", style: "display:block" }, picture(prompt, image, true), ...frames(image, true)));
    const facts = [title(image), image.value === null ? "unscored" : cosine(image.value)];
    if (image.right !== null) facts.push(image.right ? "right" : "wrong");
    const verdicts = image.pairs.map((pair) => verdict(pair.verdict, pair.brief));
    return element("button", { type: "button", class: picked ? "shot picked" : "shot", "data-id": prompts.indexOf(prompt),
      "data-side": side, "data-image": k },
      canvas,
      element("span", { class: "line" }, picked ? element("span", { class: "tag picked" }, "picked") : null, picked ? " " : null, facts.join(" · ")),
      ...(verdicts.length ? verdicts : [element("span", { class: "line soft" }, image.reason ?? "")]));
  }

  function verdict(name, text) {
    const label = element("span", { class: "verdict", "data-verdict": name }, `${signs[name]} ${name}`);
    return element("span", { class: "line", "data-verdict": name }, label, ` ${text}`);
  }

  function card(prompt) {
    const rows = prompt.images.map((images, side) => element("div", {},
      sides[side] ? element("h4", {}, sides[side]) : null,
      element("div", { class: "images" }, ...images.map((_, k) => shotOf(prompt, side, k)))));
    return element("li", { class: "card prompt" },
      element("header", {}, element("h3", {}, prompt.text),
        element("span", { class: "soft" }, prompt.category ? `${prompt.category} · ${prompt.id}` : prompt.id)),
      element("div", { class: sides.length > 1 ? "sides two" : "sides" }, ...rows));
  }

  function draw() {
    const pages = Math.max(1, Math.ceil(shown.length / PER_PAGE));
    const first = page * PER_PAGE;
    const part = shown.slice(first, first + PER_PAGE);
    list.replaceChildren(...part.map(card));
    count.textContent = part.length
      ? `${first + 1} to ${first + part.length} of ${shown.length} prompts` : "no prompt is like that";
    for (const button of document.querySelectorAll("[data-step]")) {
      const next = page + Number(button.dataset.step);
      button.disabled = next < 0 || next >= pages;
    }
  }

  // One image, large, with its overlays.
  function view(prompt, side, k) {
    open = { prompt, side, k };
    const image = prompt.images[side][k];
    const canvas = shaped(element("div", { class: "canvas" }, picture(prompt, image, false)));
    const layer = element("div", { class: "overlay" });
    canvas.append(layer);
    const choices = [["marks", "verdicts", "v"], ["none", "nothing", "0"]];
    image.objects.forEach((object, place) => object.levels && choices.push([String(place), object.name, String(place + 1)]));
    const radios = choices.map(([value, text, key]) => element("span", { class: "chip" }, element("label", {},
      element("input", { type: "radio", name: "overlay", value, id: `over-${value}` }), element("span", {}, text), " ", element("kbd", {}, key))));
    const caption = element("figcaption", { "aria-live": "polite" });
    const of = `${title(image)}, ${k + 1} of ${prompt.images[side].length}${sides[side] ? `, ${sides[side]}` : ""}`;
    const picked = k === prompt.picked[side] && image.value !== null;
    const facts = [image.value === null ? `unscored: ${image.reason}` : `score ${cosine(image.value)}`];
    if (image.right !== null) facts.push(`the oracle says it is ${image.right ? "right" : "wrong"}`);
    if (image.judge !== null) facts.push(`judge ${cosine(image.judge)}`);
    const pairs = image.pairs.map((pair) => element("li", {}, verdict(pair.verdict, pair.claim),
      element("span", { class: "soft" }, `margin ${cosine(pair.margin)}, evidence ${cosine(pair.evidence)}`
        + (pair.probability === null ? "" : `, probability ${pair.probability.toFixed(2)}`))));
    viewer.replaceChildren(
      element("div", { class: "top" }, element("h2", { id: "viewer-title" }, prompt.text), element("button", { type: "button", "data-close": true }, "close")),
      element("div", { class: "body" },
        element("figure", {}, canvas, element("fieldset", { class: "switch" }, element("legend", {}, "Lay over the picture"), ...radios), caption),
        element("div", {},
          element("p", { class: "eyebrow" }, element("span", { class: picked ? "tag picked" : "tag" }, picked ? "picked" : "not picked"), ` ${of}`),
          element("p", {}, facts.join("; ")),
          image.src === null ? null : element("p", {}, element("a", { href: image.src }, "the image file")),
          element("ul", {}, ...pairs),
          element("p", { class: "soft" }, "Keys: ← and → previous and next image, 1 to 9 objects, v verdicts, 0 nothing, Esc closes."))));
    layOver("marks");
    if (!viewer.open) viewer.showModal();
  }

  function layOver(choice) {
    const radio = document.getElementById(`over-${choice}`);
    if (!radio) return;
    radio.checked = true;
    const image = open.prompt.images[open.side][open.k];
    const layer = viewer.querySelector(".overlay");
    const caption = viewer.querySelector("figcaption");
    layer.dataset.overlay = choice;
    if (choice === "marks" || choice === "none") {
      layer.replaceChildren(...(choice === "marks" ? frames(image, false) : []));
      caption.textContent = choice === "marks" ? "A frame for each object, where it was read; dashed where an attribute is not in place." : "";
    } else {
      const object = image.objects[Number(choice)];
      layer.replaceChildren(heat(object), frame(object, [], false));
      caption.textContent = `Bright where the ${object.name} was read, patch by patch; the frame holds its core.`;
    }
  }

  filters.addEventListener("input", choose);
  filters.addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("change", (event) => {
    if (event.target.name === "table") {
      for (const table of document.querySelectorAll("[data-table]")) table.hidden = table.dataset.table !== event.target.value;
    } else if (event.target.name === "overlay") layOver(event.target.value);
  });
  document.addEventListener("click", (event) => {
    const shot = event.target.closest(".shot");
    const step = event.target.closest("[data-step]");
    if (shot) view(prompts[shot.dataset.id], Number(shot.dataset.side), Number(shot.dataset.image));
    else if (step) {
      page += Number(step.dataset.step);
      draw();
      filters.scrollIntoView({ block: "start" });
    } else if (event.target.closest("[data-close]") || event.target === viewer) viewer.close();
  });
  document.addEventListener("keydown", (event) => {
    if (!viewer.open || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = event.target.type === "radio" ? 0 : { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const { prompt, side, k } = open;
    if (step && prompt.images[side][k + step]) view(prompt, side, k + step);
    else if (event.key === "v") layOver("marks");
    else if (event.key === "0") layOver("none");
    else if (/^[1-9]$/.test(event.key)) layOver(String(Number(event.key) - 1));
  });
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details.paper")) details.open = true;
    for (const shot of document.querySelectorAll("img[loading]")) shot.loading = "eager";
  });
  choose();
})();
