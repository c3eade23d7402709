/**
 * The kinds of name and number that must not be mixed. Names are branded (made only by the functions here); numbers are
 * flavoured: a plain number may become an offset, but an offset never becomes a timestamp by mistake.
 */

declare const brand: unique symbol;
type Brand<T, Name extends string> = T & { readonly [brand]: Name };
type Flavour<T, Name extends string> = T & { readonly [brand]?: Name };

export type TopicName = Brand<string, 'TopicName'>;
/** Kafka's text form of a topic id: url-safe base64 of 16 bytes, 22 characters. */
export type TopicId = Brand<string, 'TopicId'>;
/** Same form as a topic id. */
export type ClusterId = Brand<string, 'ClusterId'>;

export type Offset = Flavour<number, 'Offset'>;
export type TimestampMs = Flavour<number, 'TimestampMs'>;
export type LeaderEpoch = Flavour<number, 'LeaderEpoch'>;
export type PartitionId = Flavour<number, 'PartitionId'>;

/** No timestamp, no offset, no epoch: Kafka writes −1 for each. */
export const none = -1;

const topicNamePattern = /^[a-zA-Z0-9._-]{1,249}$/;
const idPattern = /^[A-Za-z0-9_-]{22}$/;

/** Whether a text can be the name of a Kafka topic. */
export function isTopicName(text: string): text is TopicName {
  return topicNamePattern.test(text) && text !== '.' && text !== '..';
}

/** Marks a text that is known to be a topic's name. Check foreign input with `isTopicName` first. */
export function topicName(text: string): TopicName {
  return text as TopicName;
}

export function isTopicId(text: string): text is TopicId {
  return idPattern.test(text);
}

export function topicId(text: string): TopicId {
  return text as TopicId;
}

export function clusterId(text: string): ClusterId {
  return text as ClusterId;
}

/** The all-zero id, which Kafka reads as "none". */
export const zeroTopicId: TopicId = topicId('AAAAAAAAAAAAAAAAAAAAAA');

/** Text form of 16 raw bytes. */
export function idFromBytes(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url');
}

/** The 16 bytes of an id as a UUID writes them: what a topic's table has as its own id. */
export function uuidOfId(id: TopicId | ClusterId): string {
  const hex = Buffer.from(id, 'base64url').toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** A fresh id. Never begins with `-`, which command lines take for an option. */
export function freshId(bytesOf: (length: number) => Uint8Array): string {
  for (;;) {
    const text = idFromBytes(bytesOf(16));
    if (!text.startsWith('-') && text !== zeroTopicId) return text;
  }
}
