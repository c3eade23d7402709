/** The definitions against Apache Kafka 4.4's own schemas. Runs where those lie beside the checkout; golden bytes stand in elsewhere. */
import { describe, expect, it } from 'vitest';
import { apis } from '../../../src/wire/index.js';
import type { Api, Field, FieldType, Fields, Message } from '../../../src/wire/notation.js';
import { isInVersions, isNullable } from '../../../src/wire/notation.js';
import type { SchemaField, SchemaMessage } from '../../support/kafka-schema-codec.js';
import { elementType, hasSchemas, inRange, memberName, membersOf, schemaDefault, schemaOf } from '../../support/kafka-schema-codec.js';
import { absentValue } from '../../support/message-values.js';

/** One field as a comparable fact: what it is at each version served. */
interface Fact {
  readonly path: string;
  readonly type: string;
  readonly versions: readonly number[];
  readonly nullable: readonly number[];
  readonly tag: number | undefined;
  readonly byDefault: unknown;
  /** Only where it matters: the struct around the field is there at a version at which the field is not. */
  readonly isIgnorable: boolean;
}

function versionsOf(api: Api): number[] {
  return Array.from({ length: api.maxVersion - api.minVersion + 1 }, (_, i) => api.minVersion + i);
}

function typeName(type: FieldType): string {
  if (type.kind === 'array') return `[]${typeName(type.element)}`;
  return type.kind === 'struct' ? 'struct' : type.scalar;
}

function fieldsOf(type: FieldType): Fields {
  if (type.kind === 'array') return fieldsOf(type.element);
  return type.kind === 'struct' ? type.fields : {};
}

function factsOfDefinition(fields: Fields, versions: readonly number[], path: string): Fact[] {
  return Object.entries(fields).flatMap(([name, field]: [string, Field]) => {
    const present = versions.filter((version) => isInVersions(field.options.versions, version));
    const fact: Fact = {
      path: `${path}${name}`,
      type: typeName(field.type),
      versions: present,
      nullable: present.filter((version) => isNullable(field, version)),
      tag: field.options.tag,
      byDefault: absentValue(field),
      isIgnorable: field.options.ignorable === true && present.length < versions.length,
    };
    return [fact, ...factsOfDefinition(fieldsOf(field.type), present, `${path}${name}.`)];
  });
}

function factsOfSchema(schema: SchemaMessage, fields: readonly SchemaField[], versions: readonly number[], path: string): Fact[] {
  return fields.flatMap((field) => {
    const present = versions.filter((version) => inRange(field.versions ?? field.taggedVersions, version));
    if (present.length === 0) return [];
    const isArray = field.type.startsWith('[]');
    const element = elementType(field.type);
    const scalar = element === 'int64' && field.entityType === 'producerId' ? 'producerId' : element;
    const fact: Fact = {
      path: `${path}${memberName(field)}`,
      type: `${isArray ? '[]' : ''}${/^[A-Z]/.test(element) ? 'struct' : scalar}`,
      versions: present,
      nullable: present.filter((version) => inRange(field.nullableVersions, version)),
      tag: present.some((version) => inRange(field.taggedVersions, version)) ? field.tag : undefined,
      byDefault: schemaDefault(schema, field),
      isIgnorable: field.ignorable === true && present.length < versions.length,
    };
    const members = /^[A-Z]/.test(element) ? membersOf(schema, field) : [];
    return [fact, ...factsOfSchema(schema, members, present, `${path}${memberName(field)}.`)];
  });
}

describe.runIf(hasSchemas)('message definitions', () => {
  it.each(apis.flatMap((api) => [api.request, api.response].map((message) => [message.name, api, message] as const)))(
    '%s says what the schema of Kafka 4.4 says',
    (name: string, api: Api, message: Message) => {
      const schema = schemaOf(name);
      expect(schema.apiKey).toBe(api.key);
      const versions = versionsOf(api);
      expect(versions.filter((version) => !inRange(schema.validVersions, version))).toEqual([]);
      expect(schema.flexibleVersions).toBe(Number.isFinite(api.flexibleFrom) ? `${api.flexibleFrom}+` : 'none');
      expect(factsOfDefinition(message.fields, versions, '')).toEqual(factsOfSchema(schema, schema.fields, versions, ''));
    },
  );
});

it('serves the versions that are promised', () => {
  expect(Object.fromEntries(apis.map((api) => [api.name, `${api.minVersion}-${api.maxVersion}`]))).toEqual({
    ApiVersions: '0-5',
    Metadata: '0-13',
    Produce: '3-11',
    Fetch: '4-18',
    ListOffsets: '1-11',
    InitProducerId: '0-5',
    FindCoordinator: '0-6',
    JoinGroup: '0-9',
    SyncGroup: '0-5',
    Heartbeat: '0-4',
    LeaveGroup: '0-5',
    OffsetCommit: '2-10',
    OffsetFetch: '1-10',
    CreateTopics: '2-7',
    DeleteTopics: '1-6',
    DeleteRecords: '0-2',
    DescribeConfigs: '1-4',
    IncrementalAlterConfigs: '0-1',
    ConsumerGroupHeartbeat: '0-1',
    ConsumerGroupDescribe: '0-1',
    DescribeGroups: '0-6',
    ListGroups: '0-5',
    OffsetForLeaderEpoch: '2-4',
    AlterConfigs: '0-2',
    DescribeLogDirs: '1-5',
    CreatePartitions: '0-3',
    DeleteGroups: '0-3',
    ElectLeaders: '0-2',
    ListPartitionReassignments: '0-0',
    OffsetDelete: '0-0',
    DescribeQuorum: '0-2',
    DescribeCluster: '0-2',
    DescribeProducers: '0-0',
    ListConfigResources: '0-1',
    DescribeTopicPartitions: '0-0',
    SaslHandshake: '0-1',
    SaslAuthenticate: '0-2',
    DescribeAcls: '1-3',
    CreateAcls: '1-3',
    DeleteAcls: '1-3',
    AlterReplicaLogDirs: '1-2',
    CreateDelegationToken: '1-3',
    RenewDelegationToken: '1-2',
    ExpireDelegationToken: '1-2',
    DescribeDelegationToken: '1-3',
    AlterPartitionReassignments: '0-1',
    DescribeClientQuotas: '0-1',
    DescribeUserScramCredentials: '0-0',
    AlterUserScramCredentials: '0-0',
    UpdateFeatures: '0-2',
    UnregisterBroker: '0-0',
    AddRaftVoter: '0-1',
    RemoveRaftVoter: '0-0',
    UnregisterController: '0-0',
  });
  expect(apis.filter((api) => api.advertisedMinVersion !== api.minVersion).map((api) => [api.name, api.advertisedMinVersion])).toEqual([
    ['Produce', 0],
  ]);
});
