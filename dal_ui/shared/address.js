// Keeps page and address in step. Streamlit 1.64 answers Back and Forward within a page with the
// parameters of before, so this component tells Python what the address says. What a page adds to
// its address by itself makes no step of its own in the history. What was opened begins at its top.

const watches = new WeakMap();

export default function render({ data, parentElement, setTriggerValue }) {
  if (!watches.has(parentElement)) watches.set(parentElement, watch());
  const watched = watches.get(parentElement);
  watched.drawn = data.parameters;
  watched.send = (search) => setTriggerValue("moved", search);
  beginAtTop(data.place);
  compare(watched);
  return () => {
    window.removeEventListener("popstate", watched.onMove, true);
    watches.delete(parentElement);
  };
}

function watch() {
  const watched = { path: window.location.pathname, told: null };
  watched.onMove = (event) => {
    if (window.location.pathname !== watched.path) return; // another page: it compares once drawn
    event.stopImmediatePropagation(); // Streamlit would draw the parameters of before
    compare(watched);
  };
  keepHistory();
  window.addEventListener("popstate", watched.onMove, true);
  return watched;
}

/** Another page, run or experiment is read from its top, wherever the button was that opened it. */
function beginAtTop(place) {
  const isOther = window.dalPlace !== undefined && window.dalPlace !== place;
  if (isOther) document.querySelector("[data-testid=stMain]")?.scrollTo(0, 0);
  window.dalPlace = place;
}

/** Sends the parameters in the address if the page was drawn for others; each once. */
function compare(watched) {
  watched.path = window.location.pathname;
  const { search } = window.location;
  const isDrawn = canonical(search) === canonical(watched.drawn);
  if (isDrawn) followed().clear();
  else if (watched.told !== search) {
    followed().add(canonical(search));
    watched.send(search);
  }
  watched.told = isDrawn ? null : search;
}

function canonical(search) {
  const parameters = [...new URLSearchParams(search)].filter(([name]) => !/^embed/.test(name));
  return JSON.stringify(parameters.sort());
}

/** The parameters Python was told of; Streamlit sends them back, perhaps too late. */
function followed() {
  return window.dalFollowed;
}

/** Decides what becomes a step of the history; once for the life of the tab. */
function keepHistory() {
  if (window.dalFollowed) return;
  window.dalFollowed = new Set();
  let isUntouched = true; // nobody has done anything since the page was opened
  for (const kind of ["pointerdown", "keydown"]) {
    window.addEventListener(kind, () => (isUntouched = false), true);
  }
  window.addEventListener("popstate", () => (isUntouched = true), true);
  const push = window.history.pushState.bind(window.history);
  window.history.pushState = (state, title, url) => {
    const to = new URL(url, window.location.href);
    if (to.pathname !== window.location.pathname) {
      isUntouched = true;
      push(state, title, url);
    } else if (followed().has(canonical(to.search))) {
      return; // Back was pressed again meanwhile: the address has moved on
    } else if (isUntouched) window.history.replaceState(state, title, url);
    else push(state, title, url);
  };
}
