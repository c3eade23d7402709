// The load generator as the benches hold it: a child process, so that what clients cost is nobody else's.
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { forget, remember } from './processes.mjs';

/** Starts one. `ask(what, parameters)` runs one of the functions of `load-child.mjs`; one at a time. */
export function openChild(file) {
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), [], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    serialization: 'advanced',
  });
  remember(child.pid);
  let waiting;
  const ended = new Promise((resolve) => {
    child.once('exit', (code, name) => {
      forget(child.pid);
      waiting?.reject(new Error(`${file} ended (${code ?? name})`));
      resolve();
    });
  });
  child.on('message', ({ result, error }) => {
    const { resolve, reject } = waiting;
    waiting = undefined;
    if (error === undefined) resolve(result);
    else reject(new Error(`${file}: ${error}`));
  });
  return {
    pid: child.pid,
    ask: (what, parameters = {}) =>
      new Promise((resolve, reject) => {
        waiting = { resolve, reject };
        child.send({ what, parameters });
      }),
    close: async () => {
      if (child.connected) child.disconnect();
      await ended;
    },
  };
}

/** In such a child: answers each message with what the function of that name gives. */
export function answer(functions) {
  process.on('message', ({ what, parameters }) => {
    Promise.resolve()
      .then(() => functions[what](parameters))
      .then(
        (result) => process.send({ result }),
        (error) => process.send({ error: error.stack ?? String(error) }),
      );
  });
  process.on('disconnect', () => process.exit(0));
}
