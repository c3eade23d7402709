/** What is not urgent steps aside. */
import type { TierPorts } from './ports.js';

/** How often it is looked whether cuts still wait. */
const lookMs = 250;

/** Resolves when no cut waits for its turn, or when the daemon stops. */
export async function yieldToCuts({ cutSlots, clock, stop }: TierPorts): Promise<void> {
  while (cutSlots.queued > 0 && !stop.aborted) await clock.sleep(lookMs, stop).catch(() => undefined);
}
