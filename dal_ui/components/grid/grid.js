// The labelling grid on the page: draws the state, handles keys and taps, sends one submission per
// query and requests its undo. state.js defines what a key does to the labels, mirror.js what
// survives a reload, view.js what the grid looks like; they precede this file in one module. Only
// Python decides whether a submission is saved or taken back.

const FIRST_RETRY_MS = 3000;
const LAST_RETRY_MS = 60000;
const REVIEW_DRAWN_MS = 10000;
const UNSEEN_MS = 300; // a key never labels or skips an image that has just appeared
const PAUSE_MS = 700; // what follows a refused key sooner was typed without looking
const TOO_SOON = "Too soon: this image has just appeared. Look, then go on.";

const SHELL = `
  <div class="stage">
    <div class="cells" role="listbox" tabindex="0" aria-label="Images to label"
         aria-describedby="hint"></div>
    <p class="message" hidden></p>
  </div>
  <div class="pad">
    <div class="classes" role="group" aria-label="Label of the marked image"></div>
    <button type="button" data-do="skip">Can’t tell</button>
    <button type="button" data-do="clear" aria-label="Clear the previous label">Clear</button>
  </div>
  <div class="foot">
    <p class="status" role="status" aria-live="polite"></p>
    <button type="button" class="submit" data-do="submit"></button>
  </div>
  <p class="hint" id="hint">
    <span class="texts">
      <span class="with-keys"><span class="range"></span> label, <kbd>S</kbd> can’t tell,
      <kbd>Backspace</kbd> clear, <kbd>Enter</kbd> submit</span>
      <span class="without-keys">Click an image to label with the keyboard.</span>
    </span>
    <button type="button" data-do="help" aria-expanded="false" aria-controls="keys">Keys
    <kbd>?</kbd></button>
  </p>
  <div class="keys" id="keys" role="region" aria-label="Keys" hidden>
    <dl>
      <dt class="range"></dt><dd>label the marked image and go to the next</dd>
      <dt><kbd>←</kbd> <kbd>→</kbd> <kbd>↑</kbd> <kbd>↓</kbd></dt><dd>mark another image</dd>
      <dt><kbd>Backspace</kbd></dt><dd>clear the previous label</dd>
      <dt><kbd>S</kbd> or <kbd>Space</kbd></dt><dd>can’t tell: show another image instead</dd>
      <dt><kbd>Enter</kbd></dt><dd>submit when every image has a label</dd>
      <dt><kbd>U</kbd></dt><dd>take back the last batch, to label it again</dd>
      <dt><kbd>R</kbd></dt><dd>review and correct your labels; again to close the review</dd>
      <dt><kbd>?</kbd></dt><dd>show or hide this list</dd>
    </dl>
  </div>`;

const grids = new WeakMap();

export default function render({ data, parentElement, setStateValue }) {
  if (!grids.has(parentElement)) grids.set(parentElement, mount(parentElement));
  const grid = grids.get(parentElement);
  grid.send = setStateValue;
  update(grid, data);
  return () => {
    grid.stop();
    grids.delete(parentElement);
  };
}

// ---- creating and updating a grid --------------------------------------------------------------

function mount(parentElement) {
  // A changed script is a new module that knows nothing of the grid the old one drew.
  parentElement.querySelector(".label-grid")?.remove();
  const root = document.createElement("div");
  root.className = "label-grid";
  root.innerHTML = SHELL;
  parentElement.append(root);

  const grid = { root, cells: root.querySelector(".cells"), queryId: null, pending: null };
  grid.classes = []; // [{key, name}], by class index
  grid.keys = new Map(); // key -> class index
  grid.undoing = null; // the undo that was requested, until Python has done it
  grid.asked = null; // the review state that was requested, until Python has drawn it
  grid.note = ""; // shown instead of the count until the next key
  grid.isUndoAsked = false; // whether the undo key was pressed once, and warned
  grid.since = performance.now();
  const countTime = () => {
    if (document.hidden) grid.state = spend(grid.state, elapsed(grid));
    grid.since = performance.now(); // time with the page hidden is not time spent labelling
  };
  root.addEventListener("keydown", (event) => onKey(grid, event));
  root.addEventListener("mousedown", keepFocusOnCells);
  root.addEventListener("click", (event) => onClick(grid, event));
  const backOnline = () => (grid.pending || grid.undoing) && transmit(grid);
  document.addEventListener("visibilitychange", countTime);
  window.addEventListener("online", backOnline);
  grid.stop = () => {
    clearTimeout(grid.retry);
    clearTimeout(grid.pause);
    document.removeEventListener("visibilitychange", countTime);
    window.removeEventListener("online", backOnline);
    root.remove();
  };
  return grid;
}

function update(grid, data) {
  const isNew = data.query_id !== grid.queryId;
  grid.run = data.run;
  const wasLocked = isLocked(grid);
  setClasses(grid, data.classes);
  if (isNew) open(grid, data);
  grid.saved = data.saved;
  grid.disabled = data.disabled;
  grid.message = data.message;
  grid.last = data.last;
  if (data.reviewing !== grid.reviewing) switchReview(grid, data.reviewing);
  if (grid.undoing && grid.undoing.submission_id !== grid.last) settleUndo(grid);
  if (grid.saved) {
    showStored(grid, data);
    settle(grid);
  } else if (isNew && grid.pending) transmit(grid); // sent before a reload, never confirmed
  draw(grid);
  if (isLocked(grid) || !(isNew || wasLocked)) return;
  grid.since = performance.now();
  takeFocus(grid);
}

function open(grid, data) {
  const ids = data.images.map(({ id }) => id);
  putAside(grid, data);
  if (grid.pending) settle(grid); // the server has moved on to this query
  forgetOtherSentQueries(data.query_id);
  const mirrored = readMirror(data.query_id);
  grid.queryId = data.query_id;
  grid.elsewhere = false;
  grid.note = "";
  grid.sources = new Map(data.images.map(({ id, src }) => [id, src]));
  grid.state = ids.length
    ? restore(mirrored?.state, ids, data.batch_size, data.classes.length)
    : empty(data.batch_size);
  grid.pending = (isComplete(grid.state) && mirrored?.pending) || null;
  if (ids.length && !data.saved && !grid.pending) offer(grid, data.query_id, ids);
  grid.cells.replaceChildren(...grid.state.slots.map((_, slot) => cell(slot)));
}

/**
 * Keeps what was said of a query that Python asks no more, unless Python has stored it or the person
 * dropped it with the undo key.
 */
function putAside(grid, data) {
  const isOpen = grid.queryId !== null && !grid.saved && isTouched(grid.state);
  const isLost = !grid.pending || grid.pending.nonce === data.dropped;
  if (isOpen && isLost && !grid.undoing) keep(grid.run, grid.state);
}

/** Fills in what was said of the same images before, for the person to check and submit. */
function offer(grid, queryId, ids) {
  const state = offered(grid.state, kept(grid.run), grid.classes.length);
  if (state === grid.state || isTouched(grid.state)) return;
  grid.state = state;
  grid.note = "Your labels of these images were not saved before. They are filled in again.";
  writeMirror(queryId, { state, pending: null });
  dropKept(grid.run, ids);
}

/** Shows the labels Python has stored; they may come from another tab or from the oracle. */
function showStored(grid, { images, stored }) {
  if (!stored) return;
  const shown = withStored(grid.state, images.map(({ id }) => id), stored);
  grid.elsewhere ||= labelledCount(grid.state) > 0 && !sameLabels(grid.state, shown);
  grid.state = shown;
}

/** Python has the submission, or no longer asks for it: nothing is left to send. */
function settle(grid) {
  clearTimeout(grid.retry);
  grid.pending = null;
  grid.late = false;
  forget(grid.queryId);
}

/** Python has taken the submission back, or another submission has followed it. */
function settleUndo(grid) {
  clearTimeout(grid.retry);
  grid.undoing = null;
  grid.late = false;
}

function isLocked(grid) {
  return Boolean(grid.saved || grid.disabled || grid.pending || grid.undoing);
}

// ---- what the person does ----------------------------------------------------------------------

function onKey(grid, event) {
  const onButton = event.target.closest("button") !== null;
  if (onButton && (event.key === "Enter" || event.key === " ")) return; // presses that button
  const action = actionFor(event, grid.keys);
  if (!action) return;
  event.preventDefault();
  event.stopPropagation();
  act(grid, action);
}

function onClick(grid, event) {
  const button = event.target.closest("button");
  const clicked = event.target.closest(".cell");
  if (button?.dataset.class) act(grid, { type: "label", label: Number(button.dataset.class) });
  else if (button) act(grid, { type: button.dataset.do });
  else if (clicked) act(grid, { type: "focus", slot: Number(clicked.dataset.slot) });
  if (button?.dataset.do !== "help") grid.cells.focus({ preventScroll: true });
}

/** Pressing a button of the pad must not take the keyboard away from the images. */
function keepFocusOnCells(event) {
  if (event.target.closest("button, .cell")) event.preventDefault();
}

function act(grid, action) {
  if (action.type === "help") return toggleKeys(grid);
  if (action.type === "close") return toggleKeys(grid, false);
  if (action.type === "review") return askForReview(grid);
  if (action.type === "undo") return undo(grid);
  grid.isUndoAsked = false;
  if (grid.note) {
    grid.note = "";
    draw(grid);
  }
  const answers = ["label", "skip"].includes(action.type);
  if (grid.saved || grid.disabled) return answers ? refuse(grid) : undefined;
  toggleKeys(grid, false); // the list lies over images that are labelled now
  if (action.type === "submit") return submit(grid);
  if (grid.pending || grid.undoing) return answers ? refuse(grid) : undefined;
  if (action.type === "focus") accept(grid);
  if (isRefusing(grid) || (answers && isUnseen(grid))) {
    grid.note = TOO_SOON;
    refuse(grid);
    return draw(grid);
  }
  const before = spend(grid.state, elapsed(grid));
  grid.since = performance.now();
  grid.state = next(before, action);
  writeMirror(grid.queryId, { state: grid.state, pending: grid.pending });
  return draw(grid);
}

/** Whether the marked image has only just appeared: the key was meant for the one before. */
function isUnseen({ cells, state }) {
  return state.focus !== null && cells.children[state.focus].classList.contains("new");
}

/**
 * Refuses a key, and with it all that are typed on without a pause. They were meant for the images
 * after it, and would each label the image before.
 */
function refuse(grid) {
  grid.root.classList.add("refusing");
  clearTimeout(grid.pause);
  grid.pause = setTimeout(() => accept(grid), PAUSE_MS);
}

/** The person has paused or pointed at an image: keys count again. */
function accept(grid) {
  clearTimeout(grid.pause);
  grid.root.classList.remove("refusing");
}

function isRefusing({ root }) {
  return root.classList.contains("refusing");
}

/** Sends the labels. Until they are confirmed, Enter sends the same message again. */
function submit(grid) {
  if (!canSubmit(grid)) return;
  grid.pending ??= submissionOf(grid.state, grid.queryId, newNonce());
  writeMirror(grid.queryId, { state: grid.state, pending: grid.pending });
  transmit(grid);
  draw(grid);
}

/**
 * Requests that the last submission be taken back. Labels typed since are dropped only when the key
 * is pressed twice. The message names the submission, so that one delivered twice undoes only one.
 */
function undo(grid) {
  if (grid.pending || (grid.undoing && !grid.late)) return;
  if (!grid.last) grid.note = "Nothing was submitted yet, so there is nothing to take back.";
  else if (!isLocked(grid) && isTouched(grid.state) && !grid.isUndoAsked) {
    grid.isUndoAsked = true;
    grid.note = "Press U again to take back the last batch and drop these labels.";
  } else {
    grid.isUndoAsked = false;
    grid.note = "";
    grid.undoing ??= { nonce: newNonce(), submission_id: grid.last };
    transmit(grid);
  }
  draw(grid);
}

function canSubmit({ state, saved, disabled, pending, undoing, late }) {
  return !saved && !disabled && !undoing && (!pending || Boolean(late)) && isComplete(state);
}

/**
 * Sends until Python confirms. A server that is down drops messages, and one that has restarted
 * does not ask for them again. The nonce makes all copies one submission. The waits grow because
 * every copy makes the page's script start over.
 */
function transmit(grid, wait = FIRST_RETRY_MS) {
  clearTimeout(grid.retry);
  grid.retry = setTimeout(() => {
    grid.late = true;
    transmit(grid, Math.min(2 * wait, LAST_RETRY_MS));
    draw(grid);
  }, wait);
  if (grid.undoing) grid.send("undo", grid.undoing);
  else grid.send("submission", grid.pending);
}

function toggleKeys(grid, show = grid.root.querySelector(".keys").hidden) {
  grid.root.querySelector(".keys").hidden = !show;
  grid.root.querySelector("[data-do=help]").setAttribute("aria-expanded", String(show));
}

function takeFocus(grid) {
  let active = document.activeElement;
  if (active?.closest("[role=dialog]")) return;
  while (active?.shadowRoot?.activeElement) active = active.shadowRoot.activeElement;
  if (active?.matches("input, textarea, select") || active?.isContentEditable) return;
  grid.cells.focus({ preventScroll: true });
}

/**
 * Requests the review to be open or closed. The message names the state wanted, so that one
 * delivered twice does not close what it opened. Pressed again before Python has answered, the key
 * reverses the request.
 */
function askForReview(grid) {
  const now = performance.now();
  const isAsked = grid.asked && now < grid.asked.until;
  const open = !(isAsked ? grid.asked.open : grid.reviewing);
  grid.asked = { open, until: now + REVIEW_DRAWN_MS };
  grid.send("review", { nonce: newNonce(), open });
}

/** Moves the focus into the review when it opens, and back to the images when it closes. */
function switchReview(grid, reviewing) {
  const isFirst = grid.reviewing === undefined; // a page opened with the review: keep the focus
  grid.reviewing = reviewing;
  if (grid.asked?.open === reviewing) grid.asked = null;
  if (isFirst) return;
  if (!reviewing) grid.cells.focus();
  else focusWhenDrawn(grid, ".st-key-review-search input", performance.now() + REVIEW_DRAWN_MS);
}

/** Streamlit draws the review after the grid: look for it until it is there. */
function focusWhenDrawn(grid, selector, until) {
  const found = document.querySelector(selector);
  if (found) found.focus();
  else if (grid.reviewing && performance.now() < until) {
    setTimeout(() => focusWhenDrawn(grid, selector, until), 50);
  }
}

function elapsed(grid) {
  return performance.now() - grid.since;
}

function newNonce() {
  // not crypto.randomUUID, which a page served over plain http to a phone does not have
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
