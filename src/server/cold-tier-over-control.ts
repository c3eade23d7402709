/** The broker's cold side, answered by whichever tier daemon is connected to the control socket. */
import type { ColdTier } from '../broker/index.js';
import { type ControlPeer, type HydratedPart, latestTierPeer } from '../control/index.js';
import { isLakeError, LakeError } from '../kernel/index.js';

/** A daemon that is lost midway is, for the broker, a cold side that is not ready. */
async function onTier<T>(peers: () => readonly ControlPeer[], work: (tier: ControlPeer) => Promise<T>): Promise<T> {
  try {
    return await work(latestTierPeer(peers()));
  } catch (error) {
    if (!isLakeError(error, 'peer-gone')) throw error;
    throw new LakeError('cold-unavailable', 'the tier daemon went away', { cause: error });
  }
}

export function coldTierOverControl(peers: () => readonly ControlPeer[]): ColdTier {
  return {
    hydrate: (from, onPart, signal) =>
      onTier(peers, async (tier) => {
        const { nextOffset } = await tier.call('tier.hydrate', from, {
          signal,
          onPart: (facts, payload) => onPart({ ...(facts as HydratedPart), batches: payload }),
        });
        return { nextOffset };
      }),
    offsetForTimestamp: (at, signal) => onTier(peers, async (tier) => (await tier.call('tier.offset-for-timestamp', at, { signal })).found),
    maxTimestamp: (at, signal) => onTier(peers, async (tier) => (await tier.call('tier.max-timestamp', at, { signal })).found),
    topicsChanged: () => {
      for (const peer of peers()) {
        // A daemon that misses the word learns at its next round.
        if (peer.peer.role === 'tier') peer.call('tier.topics-changed', {}).catch(() => undefined);
      }
    },
  };
}
