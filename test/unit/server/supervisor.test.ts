import { expect, it } from 'vitest';
import { listenAddressOf } from '../../../src/server/supervisor.js';

it('the address to come back to has a port also where the URL needs none', () => {
  expect(listenAddressOf('http://127.0.0.1:8080')).toBe('127.0.0.1:8080');
  expect(listenAddressOf('http://0.0.0.0:80')).toBe('0.0.0.0:80');
  expect(listenAddressOf('http://[::1]:80')).toBe('[::1]:80');
});
