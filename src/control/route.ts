/** The broker is the hub: what is asked of the tier goes to the tier daemon that connected last. */
import { isLakeError, LakeError } from '../kernel/index.js';
import type { ControlHandlers, ControlMethod, ControlPeer, ServeContext } from './messages.js';

type TierMethod = Extract<ControlMethod, `tier.${string}`>;

/** A method that is added to the messages does not compile until it stands here. */
const tierMethods: Readonly<Record<TierMethod, true>> = {
  'tier.flush': true,
  'tier.hydrate': true,
  'tier.offset-for-timestamp': true,
  'tier.max-timestamp': true,
  'tier.topics-changed': true,
  'tier.metrics': true,
  'tier.scrub': true,
  'tier.status': true,
};

/** The tier daemon that connected last, of peers in order of connection. Errors: `cold-unavailable`. */
export function latestTierPeer(peers: readonly ControlPeer[]): ControlPeer {
  const found = peers.findLast((peer) => peer.peer.role === 'tier');
  if (found === undefined) {
    throw new LakeError('cold-unavailable', 'no tier daemon is connected', { hint: 'Start one with: thermocline tier.' });
  }
  return found;
}

/**
 * Handlers that pass every `tier.*` call on to the tier daemon, with its parts (as fast as the caller takes them) and its
 * cancellation. Errors: the daemon's own, `cold-unavailable` where there is none or it goes away.
 */
export function routeTierCalls(peers: () => readonly ControlPeer[]): ControlHandlers {
  const forward = (method: TierMethod) => async (params: never, context: ServeContext) => {
    const tier = latestTierPeer(peers());
    try {
      return await tier.call(method, params, { signal: context.signal, onPart: context.sendPart });
    } catch (error) {
      if (!isLakeError(error, 'peer-gone') || context.signal.aborted) throw error;
      throw new LakeError('cold-unavailable', `the tier daemon went away during ${method}`, { cause: error });
    }
  };
  return Object.fromEntries((Object.keys(tierMethods) as TierMethod[]).map((method) => [method, forward(method)]));
}

/**
 * Answers for a tier daemon that has connected and is not started yet, so that nobody takes it for one that cannot do what
 * it is asked. Errors: `cold-unavailable`.
 */
export function tierCallsAtStart(): ControlHandlers {
  const refuse = async (): Promise<never> => {
    throw new LakeError('cold-unavailable', 'the tier daemon is starting', { hint: 'Try again in a moment.' });
  };
  return Object.fromEntries((Object.keys(tierMethods) as TierMethod[]).map((method) => [method, refuse]));
}
