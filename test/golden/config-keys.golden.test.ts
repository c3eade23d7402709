/**
 * The keys of topics, groups and client metrics that Apache Kafka 4.4.0 answers DescribeConfigs with, in `config-keys/`: name, type,
 * default, whether there is documentation, and the broker's keys it goes by. Written once, from a broker without settings of its own;
 * never edited. What differs here does so for a reason that stands beside it.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { describeConfigsApi } from '../../src/wire/index.js';
import { testBroker, WireClient } from '../unit/broker/broker-fixture.js';

interface Key {
  readonly name: string;
  readonly configType: number;
  readonly value: string | null;
  readonly isDocumented: boolean;
  readonly synonyms: readonly string[];
}

const resources = { 'topic': 2, 'client-metrics': 16, 'group': 32 } as const;
type Resource = keyof typeof resources;

/** Keys of the lake: Kafka has none of them. */
const ownKeys = [
  'lake.commit.interval.ms',
  'lake.delete.max.delay.ms',
  'lake.file.bytes',
  'lake.snapshot.max.age.ms',
  'lake.value.format',
  'query.require.time.bound',
];

const allowed: readonly { readonly name: string; readonly difference: Partial<Key>; readonly why: string }[] = [
  { name: 'remote.storage.enable', difference: { value: 'true' }, why: 'a lake tiers its topics by default' },
  {
    name: 'retention.ms',
    difference: { value: '-1', synonyms: ['log.retention.ms'] },
    why: 'and keeps what is tiered for ever; the key of the broker has a default of its own, in Kafka it goes by hours',
  },
  {
    name: 'segment.ms',
    difference: { synonyms: ['log.roll.ms'] },
    why: 'the key of the broker has a default of its own, in Kafka it goes by hours',
  },
  { name: 'segment.jitter.ms', difference: { synonyms: ['log.roll.jitter.ms'] }, why: 'the same' },
  {
    name: 'flush.ms',
    difference: { synonyms: ['log.flush.interval.ms'] },
    why: 'the key of the broker has a default of its own, in Kafka it goes by another key',
  },
];

function goldenOf(resource: Resource): readonly Key[] {
  return JSON.parse(readFileSync(fileURLToPath(new URL(`config-keys/${resource}.json`, import.meta.url)), 'utf8')) as readonly Key[];
}

async function described(resource: Resource): Promise<readonly Key[]> {
  const client = await WireClient.open(await testBroker({ flags: { 'group.consumer.assignment.interval.ms': '1000' } }));
  await client.createTopic('golden');
  const { results } = await client.call(describeConfigsApi, 4, {
    resources: [{ resourceType: resources[resource], resourceName: 'golden', configurationKeys: null }],
    includeSynonyms: true,
    includeDocumentation: true,
  });
  return results[0]!.configs
    .map(({ name, configType, value, documentation, synonyms }) => ({
      name,
      configType,
      value,
      isDocumented: (documentation ?? '') !== '',
      synonyms: [...new Set(synonyms.map((synonym) => synonym.name))],
    }))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

describe.each(Object.keys(resources) as Resource[])('the keys of a %s', (resource) => {
  it('are those of Apache Kafka 4.4, by name, type, default, documentation and synonyms', async () => {
    const kafka = goldenOf(resource).map((key) => ({
      ...key,
      ...(resource === 'topic' ? allowed.find(({ name }) => name === key.name)?.difference : {}),
    }));
    const ours = await described(resource);
    expect(ours.filter(({ name }) => !ownKeys.includes(name))).toEqual(kafka);
  });
});

it('differs only where it is said', async () => {
  const ours = await described('topic');
  const names = ours.map(({ name }) => name);
  expect(names).toEqual(expect.arrayContaining(ownKeys));
  const golden = goldenOf('topic');
  for (const { name, difference } of allowed)
    expect({ ...golden.find((key) => key.name === name), ...difference }, name).not.toEqual(golden.find((key) => key.name === name));
});
