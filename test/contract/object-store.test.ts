import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { faultyStore, MemoryStore, openObjectStore } from '../../src/objects/index.js';
import { systemClock } from '../../src/kernel/index.js';
import { objectStoreContract } from './object-store.contract.js';

objectStoreContract('memory', () => ({ open: async () => openObjectStore('memory:'), manyKeys: 2500 }));

objectStoreContract('a directory', () => {
  let folder: string;
  return {
    open: async () => {
      folder = await mkdtemp(join(tmpdir(), 'thermocline-bucket-'));
      return openObjectStore(pathToFileURL(join(folder, 'with space')).href);
    },
    close: () => rm(folder, { recursive: true, force: true }),
    manyKeys: 1100,
  };
});

objectStoreContract('a faulty store without a fault', () => ({
  open: async () => faultyStore(new MemoryStore({ clock: systemClock }), {}),
  manyKeys: 100,
}));
