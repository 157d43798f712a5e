// Keeps page and address in step. Streamlit 1.64 answers Back and Forward within a page with the
// parameters of before. It drops what a component sends if something else asks for a redraw before
// the script begins, and it changes the address to each page that it drew on the way, however late.
// So from a step through the history until the page is drawn for it, the address is the browser's
// alone: this component tells Python what it says, until the page has it. What a page adds to its
// address by itself makes no step of its own in the history. What was opened begins at its top.

const LOOK_MS = 250; // between two looks at a page that is behind its address
const N_TRIES = 5; // then the address is made that of the page
const RESTING = { timer: null, told: null, isLeaving: false, nTries: 0 };

export default function render({ data, parentElement, setTriggerValue }) {
  const tab = (window.dalAddress ??= watch());
  tab.drawn = { page: data.page, parameters: canonical(data.parameters), owner: parentElement };
  tab.pages = data.pages;
  tab.send = () => setTriggerValue("moved", window.location.search);
  beginAtTop(data.place);
  if (tab.drawn.page === pageOf(tab)) tab.isLeaving = false;
  if (!isDrawn(tab)) tell(tab);
  return () => {
    if (tab.drawn?.owner === parentElement) tab.drawn = null;
  };
}

/** Listens to the history, once for the life of the tab. */
function watch() {
  // Whether a person has done something since the page was opened, also before this was loaded.
  const isTouched = navigator.userActivation?.hasBeenActive ?? false;
  const tab = { drawn: null, pages: [], isTouched, ...RESTING };
  window.addEventListener("popstate", (event) => onMove(tab, event), true);
  for (const kind of ["pointerdown", "keydown"]) {
    window.addEventListener(kind, (event) => (tab.isTouched ||= !isOfHistory(event)), true);
  }
  keepHistory(tab);
  return tab;
}

/** Whether a key or a button of the mouse means Back or Forward to the browser. */
function isOfHistory(event) {
  return event.altKey || event.metaKey || ["Alt", "Meta"].includes(event.key) || event.button > 2;
}

function onMove(tab, event) {
  if (event.isRepeated || !tab.drawn) return; // Streamlit draws the page in the address
  tab.isTouched = false;
  tab.isLeaving ||= tab.drawn.page !== pageOf(tab);
  tab.told = null;
  tab.nTries = 0;
  if (tab.isLeaving) follow(tab); // it draws another page, perhaps with the parameters of before
  else {
    event.stopImmediatePropagation(); // it would draw the parameters of before
    if (isDrawn(tab)) follow(tab);
    else tell(tab);
  }
}

/** Tells Python the parameters in the address, each once; `look` repeats what was not heard. */
function tell(tab) {
  follow(tab);
  if (tab.isLeaving || tab.told === window.location.search) return;
  tab.told = window.location.search;
  tab.send();
}

/** Begins to look until page and address agree and nothing is under way. */
function follow(tab) {
  tab.nQuiet = 0;
  tab.timer ??= window.setInterval(() => look(tab), LOOK_MS);
}

function look(tab) {
  const app = document.querySelector("[data-testid=stApp]");
  const isQuiet = tab.drawn && app?.dataset.testScriptState === "notRunning";
  tab.nQuiet = isQuiet ? tab.nQuiet + 1 : 0;
  if (tab.nQuiet < 2) return; // a script may be about to begin
  tab.nQuiet = 0;
  if (isDrawn(tab) || tab.nTries === N_TRIES) stop(tab);
  else {
    tab.nTries += 1;
    repeat(tab);
  }
}

function repeat(tab) {
  tab.isLeaving = tab.drawn.page !== pageOf(tab);
  if (!tab.isLeaving) return tab.send();
  const event = new PopStateEvent("popstate");
  event.isRepeated = true;
  window.dispatchEvent(event);
}

function rest(tab) {
  window.clearInterval(tab.timer);
  Object.assign(tab, RESTING);
}

function stop(tab) {
  rest(tab);
  if (isDrawn(tab)) return;
  const folder = window.location.pathname.replace(/[^/]*$/, "");
  const search = new URLSearchParams(JSON.parse(tab.drawn.parameters)).toString();
  window.history.replaceState({}, "", folder + tab.drawn.page + (search && `?${search}`));
}

function isDrawn(tab) {
  const { page, parameters } = tab.drawn;
  return page === pageOf(tab) && parameters === canonical(window.location.search);
}

/** The page that the address names, by Streamlit's own rule; "" is the first page. */
function pageOf({ pages }) {
  return pages.find((name) => name && window.location.pathname.endsWith(`/${name}`)) ?? "";
}

function canonical(search) {
  const parameters = [...new URLSearchParams(search)].filter(([name]) => !/^embed/.test(name));
  return JSON.stringify(parameters.sort());
}

/** Another page, run or experiment is read from its top, wherever the button was that opened it. */
function beginAtTop(place) {
  const isOther = window.dalPlace !== undefined && window.dalPlace !== place;
  if (isOther) document.querySelector("[data-testid=stMain]")?.scrollTo(0, 0);
  window.dalPlace = place;
}

/** Decides what becomes a step of the history. */
function keepHistory(tab) {
  const push = window.history.pushState.bind(window.history);
  window.history.pushState = (state, title, url) => {
    if (tab.timer !== null && !tab.isTouched) return; // late news of what was drawn on the way
    if (tab.isTouched) rest(tab); // a person's own step is followed instead
    const isOther = new URL(url, window.location.href).pathname !== window.location.pathname;
    if (isOther || tab.isTouched) push(state, title, url);
    else window.history.replaceState(state, title, url);
    if (isOther) tab.isTouched = false;
  };
}
