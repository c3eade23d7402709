import { expect, it } from 'vitest';
import { UnderWay } from '../../../src/kernel/index.js';

it('waits for all work that was begun, however it ends', async () => {
  const underWay = new UnderWay();
  let finish = (): void => undefined;
  let isSettled = false;
  underWay.add(
    new Promise<void>((resolve) => {
      finish = resolve;
    }),
  );
  underWay.add(Promise.reject(new Error('it failed')));
  const settled = underWay.settled().then(() => {
    isSettled = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 1));
  expect(isSettled).toBe(false);
  finish();
  await settled;
  await underWay.settled();
});
