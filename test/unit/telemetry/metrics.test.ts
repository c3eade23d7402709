import { describe, expect, it } from 'vitest';
import { renderMetrics } from '../../../src/telemetry/index.js';

describe('metrics', () => {
  it('are Prometheus text with help, type and labels', async () => {
    const text = await renderMetrics([
      { name: 'partition_hot_bytes', value: 5, labels: { topic: 'a', partition: '0' } },
      { name: 'produced_bytes_total', value: 7 },
    ]);
    expect(text).toContain('# TYPE thermocline_partition_hot_bytes gauge');
    expect(text).toContain('thermocline_partition_hot_bytes{topic="a",partition="0"} 5');
    expect(text).toContain('# TYPE thermocline_produced_bytes_total counter');
    expect(text).toContain('thermocline_produced_bytes_total 7');
  });

  it('refuse a name that nobody declared', async () => {
    await expect(renderMetrics([{ name: 'made_up' as 'up', value: 1 }])).rejects.toThrow('not declared');
  });
});
