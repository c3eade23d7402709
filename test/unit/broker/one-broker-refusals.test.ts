import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { idFromBytes, topicId } from '../../../src/kernel/index.js';
import {
  addRaftVoterApi,
  alterPartitionReassignmentsApi,
  alterReplicaLogDirsApi,
  alterUserScramCredentialsApi,
  type Api,
  createAclsApi,
  createDelegationTokenApi,
  deleteAclsApi,
  describeAclsApi,
  describeClientQuotasApi,
  describeDelegationTokenApi,
  describeUserScramCredentialsApi,
  expireDelegationTokenApi,
  type MessageInput,
  metadataApi,
  removeRaftVoterApi,
  renewDelegationTokenApi,
  saslAuthenticateApi,
  saslHandshakeApi,
  unregisterBrokerApi,
  unregisterControllerApi,
  updateFeaturesApi,
} from '../../../src/wire/index.js';
import { temporaryFolder, testBroker, WireClient } from './broker-fixture.js';

const open = async (): Promise<WireClient> => WireClient.open(await testBroker());

/** The answer is the same at every version served. */
async function always<Req, Res>(client: WireClient, api: Api<Req, Res>, body: MessageInput<NoInfer<Req>>, expected: object): Promise<void> {
  for (let version = api.minVersion; version <= api.maxVersion; version++)
    expect(await client.call(api, version, body), `${api.name} v${version}`).toMatchObject(expected);
}

describe('security that is not there', () => {
  it('refuses to authenticate by ILLEGAL_SASL_STATE', async () => {
    const client = await open();
    await always(client, saslHandshakeApi, { mechanism: 'PLAIN' }, { errorCode: 34, mechanisms: [] });
    await always(
      client,
      saslAuthenticateApi,
      { authBytes: Buffer.from('x') },
      { errorCode: 34, authBytes: Buffer.alloc(0), sessionLifetimeMs: 0 },
    );
  });

  it('refuses access control lists by SECURITY_DISABLED, each', async () => {
    const client = await open();
    const named = { principal: 'User:a', host: '*', operation: 3, permissionType: 3 };
    const filter = {
      resourceTypeFilter: 2,
      resourceNameFilter: 't',
      principalFilter: null,
      hostFilter: null,
      operation: 1,
      permissionType: 1,
    };
    const refused = { errorCode: 54, errorMessage: expect.stringMatching(/authorizer/) as string };
    await always(client, describeAclsApi, filter, { ...refused, resources: [] });
    const creation = { resourceType: 2, resourceName: 't', ...named };
    await always(client, createAclsApi, { creations: [creation, creation] }, { results: [refused, refused] });
    await always(client, deleteAclsApi, { filters: [filter] }, { filterResults: [{ ...refused, matchingAcls: [] }] });
  });

  it('gives no delegation tokens, and tells who asked', async () => {
    const client = await open();
    await always(client, renewDelegationTokenApi, { hmac: Buffer.from('x'), renewPeriodMs: 1 }, { errorCode: 64, expiryTimestampMs: -1 });
    await always(
      client,
      expireDelegationTokenApi,
      { hmac: Buffer.from('x'), expiryTimePeriodMs: 1 },
      { errorCode: 64, expiryTimestampMs: -1 },
    );
    await always(client, describeDelegationTokenApi, { owners: null }, { errorCode: 64, tokens: [] });
    const none = { errorCode: 64, issueTimestampMs: -1, expiryTimestampMs: -1, maxTimestampMs: -1, tokenId: '', hmac: Buffer.alloc(0) };
    await always(
      client,
      createDelegationTokenApi,
      { renewers: [], maxLifetimeMs: -1 },
      { ...none, principalType: 'User', principalName: 'ANONYMOUS' },
    );
    const owned = { ownerPrincipalType: 'User', ownerPrincipalName: 'bob', renewers: [], maxLifetimeMs: -1 };
    expect(await client.call(createDelegationTokenApi, 3, owned)).toMatchObject({
      ...none,
      principalName: 'bob',
      tokenRequesterPrincipalName: 'ANONYMOUS',
    });
  });

  it('has no SCRAM credentials, and keeps none', async () => {
    const client = await open();
    const described = async (users: string[] | null) => {
      const { errorCode, results } = await client.call(describeUserScramCredentialsApi, 0, {
        users: users?.map((name) => ({ name })) ?? null,
      });
      return [errorCode, results.map((result) => `${result.user} ${result.errorCode}`)];
    };
    expect(await described(null)).toEqual([0, []]);
    expect(await described(['b', 'a', 'b', ''])).toEqual([0, [' 91', 'a 91', 'b 92']]);
    const altered = async (deletions: [string, number][], upsertions: [string, number][]) => {
      const secret = { iterations: 8192, salt: Buffer.from('s'), saltedPassword: Buffer.from('p') };
      const { results } = await client.call(alterUserScramCredentialsApi, 0, {
        deletions: deletions.map(([name, mechanism]) => ({ name, mechanism })),
        upsertions: upsertions.map(([name, mechanism]) => ({ name, mechanism, ...secret })),
      });
      return results.map((result) => `${result.user} ${result.errorCode}`);
    };
    expect(
      await altered(
        [
          ['b', 7],
          ['a', 1],
          ['', 1],
        ],
        [],
      ),
    ).toEqual([' 93', 'a 91', 'b 33']);
    expect(
      await altered(
        [],
        [
          ['a', 1],
          ['b', 0],
        ],
      ),
    ).toEqual(['a 33', 'b 33']);
    const twice = (first: number, second: number): [string, number][] => [
      ['a', first],
      ['a', second],
    ];
    expect([await altered(twice(1, 0), []), await altered(twice(0, 1), [])]).toEqual([['a 91'], ['a 33']]);
    expect(await altered([['a', 1]], [['a', 1]])).toEqual(['a 91']);
  });

  it('has no quotas, and checks a filter as Kafka does', async () => {
    const client = await open();
    const ask = async (...components: [string, number, string | null][]) => {
      const body = { components: components.map(([entityType, matchType, match]) => ({ entityType, matchType, match })), strict: true };
      const { errorCode, entries } = await client.call(describeClientQuotasApi, 1, body);
      return [errorCode, entries];
    };
    await always(client, describeClientQuotasApi, { components: [], strict: false }, { errorCode: 0, errorMessage: '', entries: [] });
    expect(await ask(['client-id', 2, null], ['user', 1, null])).toEqual([0, []]);
    expect(await ask(['user', 0, 'x'])).toEqual([0, []]);
    expect(await ask(['bogus', 9, 'x'])).toEqual([35, null]);
    expect(await ask(['user', 2, null], ['bogus', 2, null])).toEqual([35, null]);
    for (const wrong of [
      ['user', 9, null],
      ['user', 0, null],
      ['user', 2, 'x'],
      ['user', 1, 'x'],
      ['', 2, null],
    ] as [string, number, string | null][])
      expect(await ask(wrong), wrong.join()).toEqual([42, null]);
    expect(await ask(['user', 2, null], ['user', 2, null])).toEqual([42, null]);
    expect(await ask(['ip', 2, null], ['user', 2, null])).toEqual([42, null]);
  });
});

describe('what only a cluster can do', () => {
  it('moves no replica to another directory', async () => {
    const dataDir = await temporaryFolder();
    const client = await WireClient.open(await testBroker({ dataDir }));
    await client.createTopic('a', 2);
    const move = async (...dirs: [string, string, number[]][]) => {
      const { results } = await client.call(alterReplicaLogDirsApi, 2, {
        dirs: dirs.map(([path, name, partitions]) => ({ path, topics: [{ name, partitions }] })),
      });
      return results.flatMap(({ topicName, partitions }) => partitions.map((p) => `${topicName}-${p.partitionIndex} ${p.errorCode}`));
    };
    const own = join(dataDir, 'log');
    expect(await move([own, 'a', [0, 1, 7]], [own, 'none', [0]], [own, 'b', []])).toEqual(['a-0 0', 'a-1 0', 'a-7 3', 'none-0 3']);
    expect(await move(['/elsewhere', 'a', [0, 1]], [own, 'a', [0]])).toEqual(['a-0 0', 'a-1 57']);
  });

  it('moves no partition to another broker', async () => {
    const client = await open();
    await client.createTopic('a');
    const move = async (name: string, partitionIndex: number, replicas: number[] | null) => {
      const topics = [{ name, partitions: [{ partitionIndex, replicas }] }];
      const { errorCode, errorMessage, responses } = await client.call(alterPartitionReassignmentsApi, 1, { topics });
      expect([errorCode, errorMessage]).toEqual([0, null]);
      return responses[0]!.partitions[0]!.errorCode;
    };
    expect(await move('a', 0, [1])).toBe(0);
    for (const others of [[2], [1, 1], [], [1, 2], [-1]]) expect(await move('a', 0, others), others.join()).toBe(39);
    expect(await move('a', 0, null)).toBe(85);
    expect(await move('a', 9, null)).toBe(3);
    expect(await move('none', 0, [1])).toBe(3);
    expect(await client.call(alterPartitionReassignmentsApi, 1, { topics: [], allowReplicationFactorChange: false })).toMatchObject({
      allowReplicationFactorChange: true,
      errorMessage: '',
      responses: [],
    });
  });

  it('finalizes the feature it has, and no other version', async () => {
    const client = await open();
    const update = async (feature: string, maxVersionLevel: number, upgradeType = 1) =>
      (await client.call(updateFeaturesApi, 2, { featureUpdates: [{ feature, maxVersionLevel, upgradeType }] })).errorCode;
    expect(await update('group.version', 1)).toBe(0);
    expect(await update('group.version', 1, 2)).toBe(0);
    for (const [version, type] of [
      [2, 1],
      [-1, 1],
      [0, 1],
      [0, 2],
      [0, 3],
      [1, 0],
      [1, 9],
    ] as const)
      expect(await update('group.version', version, type), `${version} ${type}`).toBe(95);
    expect(await update('bogus', 1)).toBe(95);
    const both = [
      { feature: 'group.version', maxVersionLevel: 1 },
      { feature: 'bogus', maxVersionLevel: 1 },
    ];
    expect(await client.call(updateFeaturesApi, 1, { featureUpdates: both })).toMatchObject({ errorCode: 95, results: [] });
    const twice = (versions: number[]) => versions.map((maxVersionLevel) => ({ feature: 'group.version', maxVersionLevel }));
    expect((await client.call(updateFeaturesApi, 1, { featureUpdates: twice([9, 1]) })).results).toHaveLength(2);
    expect((await client.call(updateFeaturesApi, 1, { featureUpdates: twice([1, 9]) })).errorCode).toBe(95);
    expect(await client.call(updateFeaturesApi, 0, { featureUpdates: both.slice(0, 1) })).toMatchObject({
      errorCode: 0,
      errorMessage: null,
      results: [{ feature: 'group.version', errorCode: 0, errorMessage: 'NONE' }],
    });
  });

  it('registers and forgets neither brokers nor voters', async () => {
    const client = await open();
    const { clusterId } = await client.call(metadataApi, 13, { topics: [] });
    await always(client, unregisterBrokerApi, { brokerId: 7 }, { errorCode: 102 });
    await always(client, unregisterBrokerApi, { brokerId: 1 }, { errorCode: 42 });
    await always(client, unregisterControllerApi, { controllerId: 7 }, { errorCode: 136 });
    await always(client, unregisterControllerApi, { controllerId: 1 }, { errorCode: 42 });
    const voter = { voterId: 7, voterDirectoryId: topicId(idFromBytes(new Uint8Array(16).fill(7))) };
    for (const [named, errorCode] of [
      ['another', 104],
      [clusterId, 35],
      [null, 35],
    ] as const) {
      await always(client, addRaftVoterApi, { clusterId: named, timeoutMs: 1, listeners: [], ...voter }, { errorCode });
      await always(client, removeRaftVoterApi, { clusterId: named, ...voter }, { errorCode });
    }
  });
});
