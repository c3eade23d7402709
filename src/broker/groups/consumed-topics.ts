/**
 * Which topics the members of a consumer group consume, as their subscriptions say it (ConsumerProtocolSubscription): a version int16,
 * then the topics, an int32 count of strings of int16 length; what follows is not needed here.
 */
export const consumerProtocol = 'consumer';

/** Whether a topic is consumed. Every one is by a consumer group with a subscription that cannot be read, none by other groups. */
export function consumedTopics(protocolType: string | null, subscriptions: readonly Buffer[]): (topic: string) => boolean {
  if (protocolType !== consumerProtocol) return () => false;
  const topics = new Set<string>();
  for (const subscription of subscriptions) {
    const own = topicsOf(subscription);
    if (own === undefined) return () => true;
    for (const topic of own) topics.add(topic);
  }
  return (topic) => topics.has(topic);
}

function topicsOf(subscription: Buffer): readonly string[] | undefined {
  try {
    let at = 2;
    const topics: string[] = [];
    const count = subscription.readInt32BE(at);
    at += 4;
    // A text takes two bytes at least.
    if (count < 0 || count > (subscription.length - at) / 2) return undefined;
    for (let i = 0; i < count; i++) {
      const length = subscription.readInt16BE(at);
      at += 2;
      if (length < 0 || length > subscription.length - at) return undefined;
      topics.push(subscription.toString('utf8', at, at + length));
      at += length;
    }
    return topics;
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
