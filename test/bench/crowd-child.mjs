// A crowd of clients in a process of its own: many connections that produce in a closed loop, and many consumer groups (KIP-848) with one
// connection a member. Nothing is decoded but the ends of batches, so that the broker is what is measured.
import { randomUUID } from 'node:crypto';
import { connectBroker, createTopics, openLogReader } from '../../dist/client/index.js';
import {
  batchLastOffset,
  consumerGroupHeartbeatApi,
  fetchApi,
  findCoordinatorApi,
  kafkaErrors,
  offsetCommitApi,
  produceApi,
  RecordBatchWriter,
  walkBatches,
} from '../../dist/wire/index.js';
import { answer } from './load.mjs';

const clientId = 'thermocline-bench';
const valueBytes = 1024;
const batchRecords = 4;
const requestTimeoutMs = 60_000;
const gatherDeadlineMs = 120_000;
/** While groups settle; afterwards as often as the broker says. */
const settleBeatMs = 200;
const commitMs = 1000;
/** Connections opened at a time: below the backlog of a listener. */
const openAtOnce = 50;
/** Topics in one CreateTopics. */
const createAtOnce = 10;
const notYet = new Set([
  kafkaErrors.COORDINATOR_LOAD_IN_PROGRESS,
  kafkaErrors.COORDINATOR_NOT_AVAILABLE,
  kafkaErrors.NOT_COORDINATOR,
  kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION,
]);

const state = { producers: [], members: [], partitionsEach: 0, isOver: false };
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const options = { timeoutMs: requestTimeoutMs };

/** Jain's index (1: all the same, 1/n: one has all), and the smallest as a share of the mean. */
function evenness(counts) {
  const sum = counts.reduce((total, one) => total + one, 0);
  const squares = counts.reduce((total, one) => total + one * one, 0);
  const mean = sum / counts.length;
  return { fairness: squares === 0 ? 0 : (sum * sum) / (counts.length * squares), leastShare: mean === 0 ? 0 : Math.min(...counts) / mean };
}

function batchOf() {
  const writer = new RecordBatchWriter();
  const value = Buffer.alloc(valueBytes);
  for (let i = 0; i < valueBytes; i++) value[i] = (i * 131) & 255;
  for (let i = 0; i < batchRecords; i++) writer.append(Date.now(), null, value);
  return writer.finish();
}

async function openAll(bootstrap, count) {
  const connections = [];
  while (connections.length < count) {
    const some = Math.min(openAtOnce, count - connections.length);
    connections.push(...(await Promise.all(Array.from({ length: some }, () => connectBroker({ bootstrap, clientId })))));
  }
  return connections;
}

/** Says what it has and takes what it is given, until it is told to end. */
async function beat(member) {
  const { connection, groupId, memberId, topic } = member;
  while (!state.isOver) {
    const isFirst = member.epoch === 0;
    const said = await connection.request(
      consumerGroupHeartbeatApi,
      {
        groupId,
        memberId,
        memberEpoch: member.epoch,
        rebalanceTimeoutMs: isFirst ? 60_000 : -1,
        subscribedTopicNames: isFirst ? [topic] : null,
        topicPartitions: member.owned === undefined ? [] : [{ topicId: member.topicId, partitions: member.owned }],
      },
      { ...options, minVersion: 1 },
    );
    if (isFirst && notYet.has(said.errorCode)) {
      await sleep(settleBeatMs);
      continue;
    }
    if (said.errorCode !== 0) throw new Error(`a heartbeat of ${groupId}: error ${said.errorCode} ${said.errorMessage ?? ''}`);
    member.epoch = said.memberEpoch;
    const given = said.assignment?.topicPartitions;
    if (given !== undefined) {
      member.owned = given.flatMap(({ partitions }) => partitions);
      member.topicId = given[0]?.topicId ?? member.topicId;
    }
    await sleep(state.isSettled ? said.heartbeatIntervalMs : settleBeatMs);
  }
}

/** Topics, connections, groups: resolves when each member has its share of its topic. */
async function gather({ bootstrap, config, topics, partitionsEach, producers, groups, membersEach }) {
  const names = Array.from({ length: topics }, (_, i) => `crowd-${i}`);
  for (let at = 0; at < topics; at += createAtOnce) {
    const some = names.slice(at, at + createAtOnce);
    await createTopics(
      { bootstrap, clientId },
      some.map((name) => ({ name, partitions: partitionsEach, config })),
    );
  }
  const reader = openLogReader({ bootstrap, clientId });
  const ids = new Map((await reader.topics()).map(({ name, id }) => [name, id]));
  await reader.close();
  const startMs = performance.now();
  const connections = await openAll(bootstrap, producers + groups * membersEach);
  // The first question makes the topic of offsets where there is none.
  await connections[0].request(findCoordinatorApi, { keyType: 0, coordinatorKeys: ['group-0'] }, { ...options, minVersion: 4 });
  const batch = batchOf();
  state.producers = connections.slice(0, producers).map((connection, i) => ({
    connection,
    topic: names[i % topics],
    // Each has its own partitions, and together they have all.
    partitions: Array.from({ length: partitionsEach }, (_, p) => p).filter((p) => p % (producers / topics) === Math.floor(i / topics)),
    batch: Buffer.from(batch),
    requests: 0,
  }));
  state.members = connections.slice(producers).map((connection, i) => {
    const group = i % groups;
    const topic = names[group % topics];
    return {
      connection,
      group,
      groupId: `group-${group}`,
      topic,
      topicId: ids.get(topic),
      memberId: randomUUID(),
      epoch: 0,
      bytes: 0,
      places: new Map(),
    };
  });
  state.isSettled = false;
  state.failed = new Promise((_, reject) => {
    for (const member of state.members) beat(member).catch(reject);
  });
  state.failed.catch(() => {});
  const share = partitionsEach / membersEach;
  const settled = (async () => {
    while (state.members.some(({ owned }) => owned?.length !== share)) {
      if (performance.now() - startMs > gatherDeadlineMs) throw new Error(`the groups did not settle within ${gatherDeadlineMs} ms`);
      await sleep(20);
    }
  })();
  await Promise.race([settled, state.failed]);
  state.isSettled = true;
  return { gatherMs: performance.now() - startMs, groups };
}

async function produceInLoop(producer, untilMs, latencies) {
  const { connection, topic, partitions, batch } = producer;
  for (let turn = 0; performance.now() < untilMs; turn++) {
    const index = partitions[turn % partitions.length];
    const beganMs = performance.now();
    const said = await connection.request(
      produceApi,
      { acks: -1, timeoutMs: 30_000, topicData: [{ name: topic, partitionData: [{ index, records: batch }] }] },
      options,
    );
    const { errorCode } = said.responses[0].partitionResponses[0];
    if (errorCode !== 0) throw new Error(`a produce to ${topic}-${index}: error ${errorCode}`);
    latencies.push(performance.now() - beganMs);
    producer.requests++;
  }
}

async function consumeInLoop(member, untilMs) {
  const { connection, topicId, owned, places } = member;
  let committedMs = performance.now();
  while (performance.now() < untilMs) {
    const said = await connection.request(
      fetchApi,
      {
        maxWaitMs: 500,
        minBytes: 1,
        maxBytes: 50 * 1024 * 1024,
        topics: [
          {
            topicId,
            partitions: owned.map((partition) => ({ partition, fetchOffset: places.get(partition) ?? 0, partitionMaxBytes: 1024 * 1024 })),
          },
        ],
        forgottenTopicsData: [],
      },
      { ...options, minVersion: 13 },
    );
    for (const { partitions } of said.responses) {
      for (const { partitionIndex, errorCode, records } of partitions) {
        if (errorCode !== 0) throw new Error(`a fetch of ${member.topic}-${partitionIndex}: error ${errorCode}`);
        if (records === null) continue;
        member.bytes += walkBatches(records, (at) => places.set(partitionIndex, batchLastOffset(records, at) + 1));
      }
    }
    if (performance.now() - committedMs > commitMs && places.size > 0) {
      committedMs = performance.now();
      await commit(member);
    }
  }
}

async function commit({ connection, groupId, memberId, epoch, topic, topicId, places }) {
  const partitions = [...places].map(([partitionIndex, committedOffset]) => ({ partitionIndex, committedOffset, committedMetadata: '' }));
  const said = await connection.request(
    offsetCommitApi,
    { groupId, generationIdOrMemberEpoch: epoch, memberId, topics: [{ name: topic, topicId, partitions }] },
    { ...options, minVersion: 9 },
  );
  const failed = said.topics.flatMap((one) => one.partitions).find(({ errorCode }) => errorCode !== 0);
  if (failed !== undefined) throw new Error(`a commit of ${groupId}: error ${failed.errorCode}`);
}

/** Everybody works for so long; what was done before does not count. */
async function work({ seconds }) {
  const { producers, members } = state;
  const latencies = [];
  for (const producer of producers) producer.requests = 0;
  for (const member of members) member.bytes = 0;
  const startMs = performance.now();
  const untilMs = startMs + seconds * 1000;
  const producing = producers.map((producer) => produceInLoop(producer, untilMs, latencies));
  const consuming = members.map((member) => consumeInLoop(member, untilMs));
  await Promise.race([Promise.all([...producing, ...consuming]), state.failed]);
  const ms = performance.now() - startMs;
  latencies.sort((a, b) => a - b);
  const at = (share) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))];
  const requests = producers.reduce((sum, one) => sum + one.requests, 0);
  const groups = [];
  for (const { group, bytes } of members) groups[group] = (groups[group] ?? 0) + bytes;
  return {
    ms,
    latencies: { p50Ms: at(0.5), p99Ms: at(0.99) },
    produced: { requests, bytes: requests * batchRecords * valueBytes, ...evenness(producers.map((one) => one.requests)) },
    consumed: { bytes: groups.reduce((sum, one) => sum + one, 0), ...evenness(groups) },
  };
}

/** Everybody goes. */
function leave() {
  state.isOver = true;
  for (const { connection } of [...state.producers, ...state.members]) connection.close();
}

answer({ gather, work, leave });
