import fs from 'node:fs';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { createLogger } from '../../src/runtime/logger.ts';

let writes: string[];
beforeEach(() => {
  writes = [];
  vi.spyOn(fs, 'writeSync').mockImplementation((_fd: number, text: unknown) => {
    writes.push(String(text));
    return Buffer.byteLength(String(text));
  });
});
afterEach(() => {
  vi.restoreAllMocks();
});

const numbersIn = (text: string): number[] =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => (JSON.parse(line) as { n: number }).n);

it('lines that are told in one go are one write, before anything else is done', async () => {
  const log = createLogger('warn');
  for (let n = 0; n < 5; n += 1) log.record?.({ event: 'settled', n });
  log.debug({ event: 'answer', n: 5 });
  expect(writes).toEqual([]);
  await Promise.resolve();
  expect(writes.map(numbersIn)).toEqual([[0, 1, 2, 3, 4]]);
});

it('many lines are several writes, and none is lost', async () => {
  const log = createLogger('warn');
  for (let n = 0; n < 500; n += 1) log.record?.({ event: 'settled', n, reason: 'é'.repeat(100) });
  await Promise.resolve();
  expect(writes.length).toBeGreaterThan(5);
  expect(numbersIn(writes.join(''))).toEqual(Array.from({ length: 500 }, (_, n) => n));
});

it('the last words of a process are written before it ends', () => {
  const before = new Set(process.listeners('exit'));
  const log = createLogger('warn');
  const [atExit] = process.listeners('exit').filter((listener) => !before.has(listener));
  log.record?.({ event: 'settled', n: 1 });
  expect(writes).toEqual([]);
  atExit?.(0);
  expect(writes.map(numbersIn)).toEqual([[1]]);
});

it('a line of trouble leaves at once, behind those before it', () => {
  const log = createLogger('warn');
  log.record?.({ event: 'settled', n: 1 });
  log.warn({ event: 'worker-left', n: 2 });
  expect(writes.map(numbersIn)).toEqual([[1, 2]]);
});
