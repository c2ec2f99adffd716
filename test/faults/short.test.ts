import { describe, it } from 'vitest';
import { expectPromisesKept } from './promises.ts';
import { SCENARIOS } from './scenarios.ts';

/** The selection of the fault suite that every `npm test` runs; `npm run test:faults` runs all of it. */
const SHORT = ['kill -9 of workers in a loop', 'every bad answer of the table, lost answers, HTML, resets, throttling'];

describe('under', () => {
  it.each(SCENARIOS.filter(({ name }) => SHORT.includes(name)))(
    '$name: $promise',
    { timeout: 120_000 },
    async (scenario) => {
      await expectPromisesKept({ ...scenario, items: 800 }, 1);
    },
  );
});
