/** A store of which nothing is changed: whatever would write is refused here, before a request is made. */
import { LakeError } from '../kernel/index.js';
import type { ObjectStore } from './object-store.js';

export function readOnlyStore(store: ObjectStore): ObjectStore {
  const refuse = async (what: string): Promise<never> => {
    throw new LakeError('store-refused', `${what} in ${store.url} is refused: the bucket is opened to be read`, {
      hint: 'Ask the running service to change something.',
      facts: { url: store.url },
    });
  };
  return {
    url: store.url,
    put: (key) => refuse(`writing ${key}`),
    get: (key, options) => store.get(key, options),
    download: (key, path, signal) => store.download(key, path, signal),
    head: (key, signal) => store.head(key, signal),
    list: (prefix, signal) => store.list(prefix, signal),
    delete: (key) => refuse(`deleting ${key}`),
    removeUnfinished: () => refuse('sweeping'),
    localPath: (key) => store.localPath(key),
    location: (key) => store.location(key),
    close: () => store.close(),
  };
}
