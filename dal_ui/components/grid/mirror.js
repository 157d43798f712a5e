// Labels the server has not confirmed, mirrored in sessionStorage under their query. They survive a
// reload, a lost connection and a restarted server, and are removed once the server has moved on.

const STORE_PREFIX = "dal:labels:";
const KEPT_PREFIX = "dal:kept:"; // by run: what a person said of images that are not asked now

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

/** Keeps labels of a query that is no longer asked, until the same images are asked again. */
function keep(run, { labels, skipped, ms }) {
  withStorage((storage) => {
    const before = kept(run);
    const all = {
      labels: { ...before.labels, ...labels },
      ms: { ...before.ms, ...ms },
      skipped: [...new Set([...before.skipped, ...skipped])].filter((id) => !(id in labels)),
    };
    for (const id of skipped) delete all.labels[id];
    storage.setItem(KEPT_PREFIX + run, JSON.stringify(all));
  });
}

function kept(run) {
  const found = withStorage((storage) => JSON.parse(storage.getItem(KEPT_PREFIX + run)));
  const isWhole = found?.labels && found?.ms && Array.isArray(found?.skipped);
  return isWhole ? found : { labels: {}, skipped: [], ms: {} };
}

/** Forgets what was kept of these images. */
function dropKept(run, ids) {
  withStorage((storage) => {
    const { labels, skipped, ms } = kept(run);
    for (const id of ids) {
      delete labels[id];
      delete ms[id];
    }
    const rest = skipped.filter((id) => !ids.includes(id));
    storage.setItem(KEPT_PREFIX + run, JSON.stringify({ labels, skipped: rest, ms }));
  });
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
