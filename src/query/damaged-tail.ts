/** What a query says that met damage in the hot log: the broker is asked to look, and knows the file and the place. */
import { LakeError, type Offset, toLakeError } from '../kernel/index.js';
import type { ControlPort } from './pin.js';
import type { TailPartition } from './tail.js';

/** What was fetched of [from, end) is not what was appended, as `error` says. The partition is offline afterwards where its log is damaged. */
export async function damagedTail(
  control: ControlPort,
  { topic, topicId, partition }: TailPartition,
  { from, end }: { readonly from: Offset; readonly end: Offset },
  error: LakeError,
  signal: AbortSignal,
): Promise<LakeError> {
  const log = `${topic}-${partition}`;
  const facts = { topic, partition, from, end };
  try {
    const { damage } = await control.call('broker.examine', { topicId, partition, from, to: end }, { signal });
    if (damage !== undefined) {
      return new LakeError('batch-corrupt', `the hot log of ${log} is damaged: ${damage}`, {
        cause: error,
        facts,
        hint: 'The partition is offline, and what the table has of it is whole. Look at the disk and its messages; then restore the file from a copy and restart the broker, or delete the topic.',
      });
    }
  } catch (cause) {
    signal.throwIfAborted();
    const { message } = toLakeError(cause);
    return new LakeError(
      'batch-corrupt',
      `what was fetched of ${log} is damaged (${error.message}), and the broker could not look at its log: ${message}`,
      {
        cause,
        facts,
        hint: 'See /readyz whether the partition is offline, and why. Ask again once it is not.',
      },
    );
  }
  return new LakeError('batch-corrupt', `what was fetched of ${log} was damaged on its way, not in the log: ${error.message}`, {
    cause: error,
    facts,
    retriable: true,
    hint: 'Ask again. If it comes back, suspect the memory of this machine.',
  });
}
