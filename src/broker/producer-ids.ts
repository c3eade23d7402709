/** Producer ids, unique for ever in the cluster: taken from the metadata store in durable blocks. */
import { Mutex } from '../kernel/index.js';
import type { MetadataStore } from './metadata-store.js';

/** As Kafka's blocks: at most this many ids are lost by a kill. */
const blockSize = 1000;

export class ProducerIds {
  readonly #store: MetadataStore;
  readonly #taking = new Mutex();
  #next = 0n;
  #end = 0n;

  constructor(store: MetadataStore) {
    this.#store = store;
  }

  take(): Promise<bigint> {
    return this.#taking.run(async () => {
      if (this.#next === this.#end) {
        this.#next = await this.#store.takeProducerIds(blockSize);
        this.#end = this.#next + BigInt(blockSize);
      }
      return this.#next++;
    });
  }
}
