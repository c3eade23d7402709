/** What of a segment is in memory, by chance: an answer is read at once, beside other things that happen, or partly so. */
import type { WarmReader } from '../../src/log/warm-reads.js';
import type { SimProcess } from './process.js';

export function simWarmReads({ random }: SimProcess): WarmReader {
  return {
    read: (bytes, readPiece) => {
      const chance = random.float();
      if (chance < 0.5 || bytes === 0) return 0;
      return readPiece(0, chance < 0.75 ? random.whole(0, bytes) + 1 : bytes);
    },
  };
}
