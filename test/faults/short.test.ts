import { describe, expect, it } from 'vitest';
import { blameOf, CODE_TABLE } from '../../src/core/code-table.ts';
import { HALTING_CODES, sampleOf } from './codes.ts';
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

it('each row of the code table is met by a fault of the suite, with a code that means what the row says', () => {
  const plans = SCENARIOS.flatMap(({ plan }) => plan?.faults ?? []);
  const met = new Set([...HALTING_CODES, ...plans].flatMap((fault) => ('code' in fault ? [fault.code] : [])));
  const samples = CODE_TABLE.map(sampleOf);
  expect(samples.filter((code) => !met.has(code))).toEqual([]);
  expect(samples.map(blameOf)).toEqual(CODE_TABLE.map(({ blame }) => blame));
});
