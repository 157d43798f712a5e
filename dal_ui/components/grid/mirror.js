// Labels the server has not confirmed, mirrored in sessionStorage under their query: they survive a
// reload, a lost connection and a restarted server, and go once the server has moved on.

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

/** Sent labels of another query were received: a server without them would still be asking it. */
function forgetOtherSentQueries(queryId) {
  withStorage((storage) =>
    Object.keys(storage)
      .filter((key) => key.startsWith(STORE_PREFIX) && key !== STORE_PREFIX + queryId)
      .filter((key) => JSON.parse(storage.getItem(key))?.pending)
      .forEach((key) => storage.removeItem(key)),
  );
}

/** A browser may deny storage or hold nonsense there: labelling goes on without the mirror. */
function withStorage(use) {
  try {
    return use(window.sessionStorage);
  } catch {
    return null;
  }
}
