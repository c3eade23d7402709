/**
 * DescribeLogDirs. Versions served: 1–5.
 * Behaviour: the one log directory, with the bytes that each partition's hot segments take in it, and the size and free space of its
 * disk (v4+). Topics null asks for all; those that are not there are not answered. Cold files lie in the bucket and are not counted.
 * Ignored: nothing. Errors: none.
 */
import {
  describeLogDirsApi,
  type DescribeLogDirsRequest,
  type DescribeLogDirsResponse,
  kafkaErrors,
  type MessageInput,
} from '../../wire/index.js';
import type { BrokerCore } from '../core.js';
import type { Topic } from '../topics.js';
import { type Handler, handlerOf } from './handler.js';

type Result = MessageInput<DescribeLogDirsResponse>['results'][number];

export function describeLogDirsHandler(core: BrokerCore): Handler {
  return handlerOf(describeLogDirsApi, ({ topics }) => ({
    errorCode: kafkaErrors.NONE,
    results: [
      {
        errorCode: kafkaErrors.NONE,
        logDir: core.logDir,
        topics: [...asked(core, topics)].map(sizes).filter(({ partitions }) => partitions.length > 0),
        totalBytes: core.disk.totalBytes,
        usableBytes: core.disk.freeBytes,
        isCordoned: false,
      },
    ],
  }));
}

function sizes({ topic, partitions }: Asked): Result['topics'][number] {
  const there = partitions.flatMap((partitionIndex) => {
    const log = topic.partitions.get(partitionIndex);
    return log === undefined ? [] : [{ partitionIndex, partitionSize: log.hotBytes, offsetLag: 0, isFutureKey: false }];
  });
  return { name: topic.record.name, partitions: there };
}

interface Asked {
  readonly topic: Topic;
  readonly partitions: readonly number[];
}

function* asked(core: BrokerCore, topics: DescribeLogDirsRequest['topics']): Generator<Asked> {
  if (topics === null) {
    for (const topic of core.topics.all) yield { topic, partitions: [...topic.partitions.keys()] };
    return;
  }
  for (const { topic: name, partitions } of topics) {
    const topic = core.topics.byName(name);
    if (topic !== undefined) yield { topic, partitions };
  }
}
