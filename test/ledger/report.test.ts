import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import { afterAll, expect, it } from 'vitest';
import { OUTCOMES } from '../../src/core/batch.ts';
import { REPORT_COLUMNS, reportText } from '../../src/ledger/report-text.ts';
import { reportRows, type ReportRow } from '../../src/ledger/report.ts';
import { certificatesOf, LedgerRoom } from './ledger-room.ts';

const room = new LedgerRoom();
afterAll(() => room.cleanup());

async function textOf(rows: readonly ReportRow[], format: 'csv' | 'ndjson'): Promise<string> {
  let text = '';
  // oxlint-disable-next-line typescript/require-await -- a stream of rows that are there already
  const stream = (async function* () {
    yield* rows;
  })();
  for await (const piece of reportText(stream, format)) text += piece;
  return text;
}

it('shows each item once, over several pages, with its certificate and how it ended', async () => {
  const items = certificatesOf(2_500, ['post-cn-a', 'post-cn-b']);
  const batch = await room.batchOf(items);
  const outcomeOf = (n: number): (typeof OUTCOMES)[number] => OUTCOMES[n % OUTCOMES.length] ?? 'dead';
  // Alone, so that Redis knows the script, and the others are carried out in the order in which they are sent.
  await room.settle(batch, 0, outcomeOf(0));
  await Promise.all([...items.keys()].slice(1).map((n) => room.settle(batch, n, outcomeOf(n))));
  const rows = await room.rows(batch);
  expect(rows.map(({ ordinal }) => ordinal)).toEqual([...items.keys()]);
  for (const { ordinal, outcome, requestId, instanceId, caSn, deviceSn } of rows) {
    expect({ instanceId, caSn, deviceSn }).toEqual(items[ordinal]);
    expect({ outcome, requestId }).toEqual({ outcome: outcomeOf(ordinal), requestId: `R-${ordinal}` });
  }
  const dead = await room.rows(batch, 'dead');
  expect(dead.map(({ ordinal }) => ordinal)).toEqual([...items.keys()].filter((n) => outcomeOf(n) === 'dead'));
});

it('shows an item that was tried again with its last outcome only', async () => {
  const batch = await room.batchOf(certificatesOf(3));
  for (const n of [0, 1, 2]) await room.settle(batch, n, 'dead');
  await room.ledger.deadLetters.reopen(batch, [0]);
  await room.ledger.deadLetters.reopen(batch, [1]);
  await room.ledger.deadLetters.discard(batch, [2]);
  const ends = async (): Promise<[number, string][]> =>
    (await room.rows(batch)).map(({ ordinal, outcome }): [number, string] => [ordinal, outcome]);
  expect(await ends()).toEqual([[2, 'dead']]);
  const runOf = await room.claimRuns(batch);
  expect(await room.settle(batch, 1, 'dead', { run: runOf(1), requestId: 'R-again' })).toBe('settled');
  await room.ledger.deadLetters.reopen(batch, [1]);
  await room.settle(batch, 1, 'revoked', { requestId: 'R-third' });
  expect(await room.settle(batch, 0, 'dead', { run: runOf(0) })).toBe('drained');
  expect(await ends()).toEqual([
    [2, 'dead'],
    [1, 'revoked'],
    [0, 'dead'],
  ]);
});

it('shows no item twice that is retried and ends again while it is read, and nothing that came since', async () => {
  const items = certificatesOf(1_005);
  const batch = await room.batchOf(items);
  for (const n of [0, 1]) await room.settle(batch, n, 'dead');
  const between = [...items.keys()].slice(2, 1_001);
  await Promise.all(between.map((n) => room.settle(batch, n, 'revoked')));
  await room.settle(batch, 1_001, 'dead');
  const read: [number, string][] = [];
  for await (const { ordinal, outcome } of reportRows(room.ledger, batch)) {
    read.push([ordinal, outcome]);
    if (read.length > 1) continue;
    // One that the reading is past, and one that is still before it.
    for (const n of [0, 1_001]) {
      expect(await room.ledger.deadLetters.reopen(batch, [n])).toEqual(['reopened']);
      await room.settle(batch, n, 'revoked');
    }
    await room.settle(batch, 1_002, 'revoked');
  }
  const shown = read.toSorted(([a], [b]) => a - b);
  expect(shown.map(([ordinal]) => ordinal)).toEqual([...items.keys()].slice(0, 1_001));
  expect(shown.slice(0, 3)).toEqual([
    [0, 'dead'],
    [1, 'dead'],
    [2, 'revoked'],
  ]);
  const ends = new Map((await room.rows(batch)).map(({ ordinal, outcome }) => [ordinal, outcome]));
  expect([0, 1, 1_001, 1_002].map((n) => ends.get(n))).toEqual(['revoked', 'dead', 'revoked', 'revoked']);
});

it('says so when the ledger and the items disagree', async () => {
  const batch = await room.batchOf(certificatesOf(1));
  await room.settle(batch, 0, 'revoked');
  await room.redis.hdel(room.ledger.keys.of(batch).chunks, '0');
  await expect(room.rows(batch)).rejects.toThrow(`batch ${batch} has an outcome for item 0`);
});

const BASE: ReportRow = {
  ordinal: 0,
  instanceId: 'post-cn-a',
  caSn: '007',
  deviceSn: '1',
  outcome: 'revoked',
  code: 'OK',
  requestId: 'R',
  attempts: 1,
  settledAt: '2026-11-24T06:41:34.000Z',
};
const anyText = fc.string({ unit: 'grapheme', maxLength: 12 });
const odd = fc.constantFrom('a,b', 'say "x"', '=1+1', '+1', '-1', '@SUM(A1)', "'x", ' x', 'é，', '"');
const rows = fc.array(
  fc.record({ deviceSn: fc.oneof(anyText, odd), caSn: odd, code: anyText }).map((part) => ({ ...BASE, ...part })),
  { minLength: 1, maxLength: 10 },
);

it('writes CSV that gives back every value, and no cell that a spreadsheet would run', async () => {
  const property = fc.asyncProperty(rows, async (given) => {
    const text = await textOf(given, 'csv');
    const [header, ...read] = parse(text);
    expect(header).toEqual(REPORT_COLUMNS);
    expect(read).toHaveLength(given.length);
    for (const [at, cells] of read.entries()) {
      for (const [column, cell] of cells.entries()) {
        const value = String(given[at]?.[REPORT_COLUMNS[column] ?? 'ordinal']);
        expect(cell).toBe(/^[=+\-@\t\r]/.test(value) ? `'${value}` : value);
      }
    }
  });
  await fc.assert(property);
});

it('writes NDJSON that gives back every row', async () => {
  const property = fc.asyncProperty(rows, async (given) => {
    const lines = (await textOf(given, 'ndjson')).split('\n');
    expect(lines.pop()).toBe('');
    expect(lines.map((line) => JSON.parse(line) as ReportRow)).toEqual(given);
  });
  await fc.assert(property);
});

it('writes the header alone for no rows, in pieces for many', async () => {
  expect(await textOf([], 'csv')).toBe(`${REPORT_COLUMNS.join(',')}\n`);
  expect(await textOf([], 'ndjson')).toBe('');
  const many = Array.from({ length: 1_234 }, (_, ordinal) => ({ ...BASE, ordinal }));
  expect((await textOf(many, 'ndjson')).split('\n')).toHaveLength(1_235);
});
