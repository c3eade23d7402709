/**
 * What a client may do, as a set of bits by Kafka's number of each operation (KIP-430). Nobody is restricted here, so it is all
 * that can be done with such a resource, as from a Kafka without an authorizer.
 */

const operations = {
  read: 3,
  write: 4,
  create: 5,
  delete: 6,
  alter: 7,
  describe: 8,
  clusterAction: 9,
  describeConfigs: 10,
  alterConfigs: 11,
  idempotentWrite: 12,
} as const;

type Operation = keyof typeof operations;

const operationsOf = {
  topic: ['read', 'write', 'create', 'delete', 'alter', 'describe', 'describeConfigs', 'alterConfigs'],
  group: ['read', 'delete', 'describe', 'describeConfigs', 'alterConfigs'],
  cluster: ['create', 'alter', 'describe', 'clusterAction', 'describeConfigs', 'alterConfigs', 'idempotentWrite'],
} as const satisfies Record<string, readonly Operation[]>;

/** "Not asked for": the lowest int32. */
const notAsked = -2147483648;

export function authorizedOperations(resource: keyof typeof operationsOf, isAsked: boolean): number {
  if (!isAsked) return notAsked;
  return operationsOf[resource].reduce((bits, operation) => bits | (1 << operations[operation]), 0);
}
