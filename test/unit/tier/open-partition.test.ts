// Where the daemon goes on with a partition: not where a start of the broker found it damaged, whose end is then unknown.
import { describe, expect, it } from 'vitest';
import type { PartitionState } from '../../../src/control/index.js';
import { openingOf } from '../../../src/tier/open-partition.js';

const sound: PartitionState = {
  partition: 0,
  logStartOffset: 0,
  localStartOffset: 40,
  boundary: 40,
  flushedOffset: 90,
  highWatermark: 90,
  lastStableOffset: 90,
  leaderEpoch: 3,
  hotBytes: 1000,
  tailBytes: 800,
  segments: 2,
};

describe('a partition as the daemon opens it', () => {
  it('goes on at the boundary of the table, or at the log start above it', () => {
    expect(openingOf('flights-0', 40, sound)).toEqual({ kind: 'open', boundary: 40, start: 40, leaderEpoch: 3 });
    expect(openingOf('flights-0', 40, { ...sound, logStartOffset: 60 })).toMatchObject({ kind: 'open', start: 60 });
  });

  it('waits where it is offline, with the broker’s reason and hint, whatever its end seems to be', () => {
    // As a start leaves it that found damage: the log seems to end where it begins.
    const offline = { ...sound, flushedOffset: 0, highWatermark: 0, offline: 'x.log is damaged at 7', offlineHint: 'Restore it.' };
    expect(openingOf('flights-0', 40, offline)).toMatchObject({
      kind: 'wait',
      error: { code: 'log-offline', retriable: true, hint: 'Restore it.', message: 'flights-0 is offline: x.log is damaged at 7' },
    });
  });

  it('says of an offline one that the table is behind it, where that is so as well: its cold files then stay as they are', () => {
    const offline = { ...sound, flushedOffset: 0, highWatermark: 0, offline: 'x.log is damaged at 7' };
    expect(openingOf('flights-0', 30, offline)).toMatchObject({ kind: 'wait', error: { code: 'table-corrupt' } });
  });

  it('alarms where the log ends below the boundary, and waits where the table is behind it', () => {
    expect(openingOf('flights-0', 91, sound)).toMatchObject({ kind: 'alarm', error: { code: 'log-damaged' } });
    expect(openingOf('flights-0', 30, sound)).toMatchObject({ kind: 'wait', error: { code: 'table-corrupt' } });
  });
});
