/** Randomness as a port, so that a simulation can own it. Only this file reads the ambient source. */
import { randomBytes, randomUUID } from 'node:crypto';

export interface Random {
  uuid(): string;
  bytes(length: number): Buffer;
  /** Uniform in [0, 1). */
  float(): number;
}

export const systemRandom: Random = {
  uuid: () => randomUUID(),
  bytes: (length) => randomBytes(length),
  float: () => Math.random(),
};
