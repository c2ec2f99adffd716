import { describe, it } from 'vitest';
import { expectPromisesKept } from '../promises.ts';
import { SCENARIOS } from '../scenarios.ts';

describe('under', () => {
  it.each(SCENARIOS)('$name: $promise', { timeout: 180_000 }, async (scenario) => {
    await expectPromisesKept(scenario, 1);
  });
});
