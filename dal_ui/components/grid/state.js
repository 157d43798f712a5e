// The labelling grid's state and its transitions: pure functions, no page and no storage.
//
// state = {
//   slots:   image id or null for each cell, in reading order (null: the ranking is exhausted)
//   reserve: ids that replace skipped images, best first
//   labels:  {id: index of its class}
//   given:   labelled ids, in the order in which they were labelled
//   skipped: ids the person skipped ("can't tell")
//   ms:      {id: milliseconds spent on it}
//   focus:   index into slots, or null (nothing left to label: a stray key must hit no image)
// }

export const COLUMNS = 5;

const MOVES = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

/**
 * The action a key press stands for, or null if the grid leaves the key alone.
 * @param keys Map: key -> index of the class it labels with
 */
export function actionFor({ key, repeat, ctrlKey, metaKey, altKey }, keys) {
  if (repeat || ctrlKey || metaKey || altKey) return null;
  const label = keys.get(key.length === 1 ? key.toLowerCase() : key);
  if (label !== undefined) return { type: "label", label };
  if (key in MOVES) return { type: "move", by: MOVES[key] };
  if (key === "Backspace") return { type: "clear" };
  if (key === " " || key === "s" || key === "S") return { type: "skip" };
  if (key === "Enter") return { type: "submit" };
  if (key === "u" || key === "U") return { type: "undo" };
  if (key === "r" || key === "R") return { type: "review" };
  if (key === "?") return { type: "help" };
  if (key === "Escape") return { type: "close" };
  return null;
}

export function start(ids, batchSize) {
  const slots = ids.slice(0, batchSize);
  return withFocus(
    { slots, reserve: ids.slice(batchSize), labels: {}, given: [], skipped: [], ms: {} },
    slots.length ? 0 : null,
  );
}

/** Before the first query: places for its images and nothing to label. */
export function empty(batchSize) {
  return { ...start([], batchSize), slots: Array(batchSize).fill(null) };
}

/** What a person had said of these images before, as answers to another query that came to nothing. */
export function offered(state, { labels, skipped, ms }, classCount) {
  const isOld = (id) => id !== null && skipped.includes(id);
  let now = state;
  for (let slot = now.slots.findIndex(isOld); slot >= 0; slot = now.slots.findIndex(isOld)) {
    now = skip(withFocus(now, slot));
  }
  const given = shownIds(now).filter((id) => isClass(labels[id], classCount));
  if (!given.length && now === state) return state;
  const again = Object.fromEntries(given.map((id) => [id, labels[id]]));
  const filled = { ...now, labels: again, given, ms: { ...ms, ...now.ms } };
  return withFocus(filled, nextUnlabelled(filled, filled.slots.length - 1));
}

/** The state after an action; the same object when the action changes nothing. */
export function next(state, action) {
  switch (action.type) {
    case "label":
      return withLabel(state, action.label);
    case "skip":
      return skip(state);
    case "clear":
      return clear(state);
    case "move":
      return withFocus(state, moved(state, action.by));
    case "focus":
      return state.slots[action.slot] == null ? state : withFocus(state, action.slot);
    default:
      return state;
  }
}

function withLabel(state, label) {
  const id = focused(state);
  if (id === null) return state;
  const isCorrection = id in state.labels;
  const labelled = {
    ...state,
    labels: { ...state.labels, [id]: label },
    given: [...without(state.given, id), id],
  };
  // With all labelled the marker stays on a corrected image: the next key may correct it again.
  const rest = isCorrection ? state.focus : null;
  return withFocus(labelled, nextUnlabelled(labelled, state.focus) ?? rest);
}

function skip(state) {
  const id = focused(state);
  if (id === null) return state;
  const [replacement = null, ...reserve] = state.reserve;
  const { [id]: _dropped, ...labels } = state.labels;
  const skipped = {
    ...state,
    reserve,
    labels,
    slots: state.slots.map((slot) => (slot === id ? replacement : slot)),
    given: without(state.given, id),
    skipped: [...state.skipped, id],
  };
  const stays = replacement !== null;
  return withFocus(skipped, stays ? state.focus : nextUnlabelled(skipped, state.focus));
}

/** Backspace: the focused image's own label if it has one, else the label given last. */
function clear(state) {
  const own = focused(state);
  const id = own !== null && own in state.labels ? own : state.given.at(-1);
  if (id === undefined) return state;
  const { [id]: _dropped, ...labels } = state.labels;
  return withFocus({ ...state, labels, given: without(state.given, id) }, state.slots.indexOf(id));
}

function moved({ slots, focus }, [columns, rows]) {
  const filled = slots.flatMap((id, slot) => (id === null ? [] : [slot]));
  if (!filled.length) return null;
  const forward = columns + rows > 0;
  if (focus === null) return forward ? filled[0] : filled.at(-1);
  if (rows) {
    const target = focus + rows * COLUMNS;
    return filled.includes(target) ? target : focus;
  }
  return filled[filled.indexOf(focus) + columns] ?? focus;
}

/** The first unlabelled cell after `slot`, going round; null when there is none. */
function nextUnlabelled(state, slot) {
  const count = state.slots.length;
  for (let step = 1; step <= count; step += 1) {
    const candidate = (slot + step) % count;
    const id = state.slots[candidate];
    if (id !== null && !(id in state.labels)) return candidate;
  }
  return null;
}

/** Adds time to the image the person is looking at. */
export function spend(state, ms) {
  const id = focused(state);
  if (id === null || !(ms > 0)) return state;
  return { ...state, ms: { ...state.ms, [id]: (state.ms[id] ?? 0) + ms } };
}

export function shownIds(state) {
  return state.slots.filter((id) => id !== null);
}

export function labelledCount(state) {
  return state.given.length;
}

/** Whether it holds work that an undo would throw away. */
export function isTouched(state) {
  return state.given.length + state.skipped.length > 0;
}

/** Whether every remaining image has a label and there is something to send. */
export function isComplete(state) {
  const shown = shownIds(state);
  return shown.length + state.skipped.length > 0 && shown.every((id) => id in state.labels);
}

export function submissionOf(state, queryId, nonce) {
  const touched = [...state.given, ...state.skipped];
  const spent = touched.map((id) => [id, Math.round(state.ms[id] ?? 0)]);
  return {
    nonce,
    query_id: queryId,
    answers: { ...state.labels },
    skipped: [...state.skipped],
    ms: Object.fromEntries(spent),
  };
}

/** The answered query with its stored labels; the images stay in place where possible. */
export function withStored(state, ids, stored) {
  const given = ids.filter((id) => id in stored);
  const shown = shownIds(state);
  const inPlace = shown.length === given.length && shown.every((id) => id in stored);
  const slots = inPlace ? state.slots : state.slots.map((_, slot) => given[slot] ?? null);
  return { ...state, slots, labels: { ...stored }, given, focus: null };
}

export function sameLabels(one, other) {
  const ids = Object.keys({ ...one.labels, ...other.labels });
  return ids.every((id) => one.labels[id] === other.labels[id]);
}

/** A mirrored state if it is whole and about exactly these images, else a fresh one. */
export function restore(mirrored, ids, batchSize, classCount) {
  return belongsTo(mirrored, ids, classCount) ? mirrored : start(ids, batchSize);
}

function belongsTo(state, ids, classCount) {
  const lists = [state?.slots, state?.reserve, state?.skipped, state?.given];
  if (!lists.every(Array.isArray) || !state.labels || !state.ms) return false;
  const known = [...shownIds(state), ...state.reserve, ...state.skipped];
  if (known.length !== ids.length || !ids.every((id) => known.includes(id))) return false;
  const labelled = Object.entries(state.labels);
  return (
    labelled.length === state.given.length &&
    labelled.every(([id, label]) => state.given.includes(Number(id)) && isClass(label, classCount)) &&
    (state.focus === null || (state.slots[state.focus] ?? null) !== null)
  );
}

export function focused({ slots, focus }) {
  return focus === null ? null : slots[focus];
}

function isClass(label, classCount) {
  return Number.isInteger(label) && label >= 0 && label < classCount;
}

function withFocus(state, focus) {
  return state.focus === focus ? state : { ...state, focus };
}

function without(list, item) {
  return list.filter((other) => other !== item);
}
