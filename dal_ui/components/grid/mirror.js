// Labels the server has not confirmed, mirrored in sessionStorage under their query. They survive a
// reload, a lost connection and a restarted server, and are removed once the server has moved on.

const STORE_PREFIX = "dal:labels:";

/** @param content {state, pending: the submission if it was sent} */
function writeMirror(queryId, content) {
  withStorage((storage) => storage.setItem(STORE_PREFIX + queryId, JSON.stringify(content)));
}

function readMirror(queryId) {
  return withStorage((storage) => JSON.parse(storage.getItem(STORE_PREFIX + queryId)));
}

function forget(queryId) {
  withStorage((storage) => storage.removeItem(STORE_PREFIX + queryId));
}

/** Labels sent for another query were received, or the server would still be asking that query. */
function forgetOtherSentQueries(queryId) {
  withStorage((storage) =>
    Object.keys(storage)
      .filter((key) => key.startsWith(STORE_PREFIX) && key !== STORE_PREFIX + queryId)
      .filter((key) => JSON.parse(storage.getItem(key))?.pending)
      .forEach((key) => storage.removeItem(key)),
  );
}

/** Without storage, or with nonsense in it, labelling continues without the mirror. */
function withStorage(use) {
  try {
    return use(window.sessionStorage);
  } catch {
    return null;
  }
}
