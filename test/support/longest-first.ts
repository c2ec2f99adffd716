import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Files that take longest, mostly waiting: begun last, one of them would be left alone at the end. */
const LONGEST = [
  'test/e2e/take-over',
  'test/e2e/outage',
  'test/e2e/leaving',
  'test/inventory/killed',
  'test/inventory/verify',
  'test/inventory/inventory',
  'test/inventory/cas',
  'test/e2e/killed-redis',
  'test/limiter/pace/slots',
  'test/queue/model/model',
  'test/plan/submit-plan',
  'test/cli/find',
  'test/cli/audit',
  'test/http/page',
  'test/e2e/redis-users',
  'test/schedule/run',
];

/** The longest files first, on every machine: what vitest itself remembers of durations is not there in a fresh checkout. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const at = LONGEST.findIndex((part) => moduleId.endsWith(`${part}.test.ts`));
      return at === -1 ? LONGEST.length : at;
    };
    // oxlint-disable-next-line unicorn/no-array-sort -- vitest calls it so
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b));
  }
}
