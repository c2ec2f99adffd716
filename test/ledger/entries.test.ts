import fc from 'fast-check';
import { afterAll, expect, it } from 'vitest';
import { OUTCOMES } from '../../src/core/batch.ts';
import { outcomesOf } from '../../src/ledger/entries.ts';
import { certificatesOf, LedgerRoom } from './ledger-room.ts';

const room = new LedgerRoom();
afterAll(() => room.cleanup());

it('reads an entry of one item, as every version has written it, and none in the notes between them', () => {
  const single = ['n', '7', 'outcome', 'already-gone', 'code', 'X', 'requestId', '', 'attempts', '3', 'run', 'r'];
  expect(outcomesOf(single)).toEqual([{ n: 7, outcome: 'already-gone', code: 'X', requestId: '', calls: 3 }]);
  for (const note of ['reopened', 'discarded']) {
    expect(outcomesOf(['n', '7', 'outcome', note, 'code', '', 'requestId', '', 'attempts', '0'])).toEqual([]);
  }
  expect(outcomesOf([])).toEqual([]);
  expect(outcomesOf(['later', '[]'])).toEqual([]);
});

it('reads an entry of several items, of which the plain ones leave out what is usual', () => {
  expect(outcomesOf(['revoked', '[[0,"R-0"],[12,"R-12",3,"CertNotExist"],[5,"R-5",0,""]]'])).toEqual([
    { n: 0, outcome: 'revoked', code: 'OK', requestId: 'R-0', calls: 1 },
    { n: 12, outcome: 'revoked', code: 'CertNotExist', requestId: 'R-12', calls: 3 },
    { n: 5, outcome: 'revoked', code: '', requestId: 'R-5', calls: 0 },
  ]);
});

const text = fc.string({ unit: 'grapheme', maxLength: 12 });
const settlement = fc.record({
  outcome: fc.constantFrom(...OUTCOMES),
  code: fc.oneof(fc.constant('OK'), text),
  requestId: text,
  calls: fc.oneof(fc.constant(1), fc.nat(300)),
});

it('gives back what was reported, one at a time or many in one step', async () => {
  const property = fc.asyncProperty(
    fc.array(settlement, { minLength: 1, maxLength: 12 }),
    fc.boolean(),
    async (all, isOne) => {
      const batch = await room.batchOf(certificatesOf(all.length));
      const reports = all.map(({ outcome, code, requestId, calls }, n) =>
        room.settlement(n, outcome, { code, requestId, attempt: { failures: 0, calls, effectUnknown: false } }),
      );
      if (isOne) await room.report(batch, ...reports);
      else for (const report of reports) await room.report(batch, report);
      const rows = (await room.rows(batch)).toSorted((a, b) => a.ordinal - b.ordinal);
      const told = rows.map(({ outcome, code, requestId, attempts }) => ({
        outcome,
        code,
        requestId,
        calls: attempts,
      }));
      expect(told).toEqual(all);
    },
  );
  await fc.assert(property, { numRuns: 40 });
});
