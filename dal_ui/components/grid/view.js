// What the grid looks like: the buttons of the classes, the cells and the texts. grid.js decides
// when it is drawn.

/** Gives every class its key and its button. */
function setClasses(grid, classes) {
  if (JSON.stringify(classes) === JSON.stringify(grid.classes)) return;
  grid.classes = classes;
  grid.keys = new Map(classes.flatMap(({ key }, index) => (key ? [[key, index]] : [])));
  const pad = grid.root.querySelector(".classes");
  pad.replaceChildren(...classes.map(classButton));
  pad.style.setProperty("--row", String(Math.min(classes.length, 10)));
  pad.style.setProperty("--short-row", String(Math.min(classes.length, 5)));
  pad.classList.toggle("named", classes.some(({ key, name }) => key !== name));
  for (const place of grid.root.querySelectorAll(".range")) place.replaceChildren(...range(grid));
}

/** The keys that label, as "0-9". */
function range({ keys }) {
  const [first, ...others] = [...keys.keys()].map((key) => {
    const shown = document.createElement("kbd");
    shown.textContent = key.toUpperCase();
    return shown;
  });
  return others.length ? [first, "–", others.at(-1)] : [first ?? ""];
}

function classButton({ key, name }, index) {
  const button = document.createElement("button");
  button.type = "button";
  button.tabIndex = key ? -1 : 0; // where a key does the same, the tab key need not stop here
  button.dataset.class = String(index);
  button.textContent = name;
  if (key && key !== name) {
    const shown = document.createElement("kbd");
    shown.textContent = key.toUpperCase();
    button.prepend(shown);
  }
  return button;
}

function cell(slot) {
  const element = document.createElement("div");
  element.className = "cell";
  element.id = `cell-${slot}`;
  element.dataset.slot = String(slot);
  const image = document.createElement("img");
  image.draggable = false;
  const label = document.createElement("span");
  label.className = "label";
  element.append(image, label);
  return element;
}

function draw(grid) {
  const { root, state, cells } = grid;
  const locked = isLocked(grid);
  root.classList.toggle("locked", locked);
  state.slots.forEach((id, slot) => drawCell(grid, cells.children[slot], id, slot));
  const marked = !locked && state.focus !== null;
  if (marked) cells.setAttribute("aria-activedescendant", `cell-${state.focus}`);
  else cells.removeAttribute("aria-activedescendant");
  cells.setAttribute("aria-disabled", String(locked));
  const message = root.querySelector(".message");
  message.hidden = !grid.message;
  cells.setAttribute("aria-busy", String(Boolean(grid.message))); // a list without options yet
  setText(message, grid.message);
  setText(root.querySelector(".status"), statusText(grid));
  const submitButton = root.querySelector(".submit");
  setText(submitButton, submitText(grid));
  submitButton.disabled = !canSubmit(grid);
  for (const button of root.querySelectorAll(".pad button")) {
    button.disabled = locked || (state.focus === null && button.dataset.do !== "clear");
  }
}

function drawCell(grid, element, id, slot) {
  const { state } = grid;
  const [image, label] = element.children;
  const empty = id === null;
  const selected = !isLocked(grid) && state.focus === slot;
  element.classList.toggle("empty", empty);
  if (empty) {
    for (const name of ["role", "aria-selected", "data-image-id", "data-label"]) {
      element.removeAttribute(name);
    }
    element.setAttribute("aria-hidden", "true");
    image.removeAttribute("src");
    image.alt = "";
    setText(label, "");
    return;
  }
  const given = state.labels[id];
  element.setAttribute("role", "option");
  element.setAttribute("aria-selected", String(selected));
  element.dataset.imageId = String(id);
  element.dataset.label = given ?? "";
  if (image.getAttribute("src") !== grid.sources.get(id)) {
    image.src = grid.sources.get(id);
    appear(element, image);
  }
  image.alt = `image ${slot + 1} of ${state.slots.length}`;
  setText(label, given === undefined ? "" : grid.classes[given].name);
}

/** Marks a cell as new until its image has been on screen for a while. */
function appear(element, image) {
  const { src } = image;
  const isStill = () => image.src === src;
  const seen = () => isStill() && element.classList.remove("new");
  element.classList.add("new");
  // A hidden page draws no frame, so what it holds stays new until somebody looks.
  const shown = () => requestAnimationFrame(() => setTimeout(seen, UNSEEN_MS));
  image.decode().then(shown, shown);
}

function statusText({ state, saved, elsewhere, pending, undoing, late, note, message }) {
  if (note) return note;
  if (undoing) return late ? "Not taken back yet, trying again." : "Taking back the last batch…";
  if (message) return "";
  const skipped = state.skipped.length ? `, ${state.skipped.length} skipped` : "";
  const count = `${labelledCount(state)} of ${shownIds(state).length} labelled${skipped}`;
  if (saved && elsewhere) return "Answered elsewhere. These are the stored labels.";
  if (saved) return "Saved.";
  if (pending && late) return "Not confirmed yet, trying again. Your labels are kept.";
  if (pending) return "Sending…";
  return count;
}

function submitText({ state, pending, late }) {
  if (pending && late) return "Send again";
  const count = shownIds(state).length || state.slots.length;
  return `Submit ${count} ${count === 1 ? "label" : "labels"}`;
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text; // a live region repeats each write
}
