import { describe, expect, it } from 'vitest';
import { retryDelayMs } from '../../../src/runtime/redis/connection.ts';

describe('retryDelayMs', () => {
  it('grows from 50 ms and never passes a second, so that workers are back soon after Redis is', () => {
    expect([1, 2, 3, 4, 5, 6, 7, 100_000].map(retryDelayMs)).toEqual([50, 100, 200, 400, 800, 1_000, 1_000, 1_000]);
  });
});
