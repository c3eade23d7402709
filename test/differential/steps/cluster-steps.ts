// Steps at the cluster itself: which versions, which brokers, which quorum.
import { type Kind, type Shape, step } from '../shape.js';
import type { Step } from '../step.js';

function apiVersions(shape: Shape): Step {
  const { random } = shape;
  const names = ['differ', 'differ', '', 'a b', '-x', 'a.b-c', 'ü'];
  return step(shape, 18, { clientSoftwareName: random.pick(names), clientSoftwareVersion: random.pick(['1.0', '', '1 0']) });
}

function describeCluster(shape: Shape): Step {
  const { random } = shape;
  return step(shape, 60, {
    includeClusterAuthorizedOperations: random.whole(0, 2) === 0,
    endpointType: random.pick([1, 1, 1, 2, 3, 0]),
    includeFencedBrokers: random.whole(0, 2) === 0,
  });
}

function describeQuorum(shape: Shape): Step {
  const { random } = shape;
  const topicName = random.pick(['__cluster_metadata', '__cluster_metadata', '__cluster_metadata', '__consumer_offsets', '']);
  const partitions = random.pick([[0], [0], [0], [1], []]).map((partitionIndex) => ({ partitionIndex }));
  return step(shape, 55, { topics: random.pick([[{ topicName, partitions }], [{ topicName, partitions }], []]) });
}

export const clusterKinds: readonly (readonly [number, Kind])[] = [
  [1, apiVersions],
  [1, describeCluster],
  [1, describeQuorum],
];
