import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isCutShort } from '../../src/core/listed.ts';

const PAGE_SIZES = fc.integer({ min: 1, max: 100 });
const ROWS = fc.integer({ min: 1, max: 5_000 });

const pagesOf = (rows: number, pageSize: number): number => Math.ceil(rows / pageSize);

describe('a listing', () => {
  it('is whole where its total says as much as was listed, in rows or in pages', () => {
    fc.assert(
      fc.property(ROWS, PAGE_SIZES, (rows, pageSize) => {
        for (const total of [rows, pagesOf(rows, pageSize), undefined])
          expect({ total, isCut: isCutShort(rows, { total, pageSize }) }).toEqual({ total, isCut: false });
      }),
    );
  });

  it('is whole where its total lags a little', () => {
    fc.assert(
      fc.property(ROWS, PAGE_SIZES, fc.double({ min: 0.9, max: 1, noNaN: true }), (rows, pageSize, share) => {
        expect(isCutShort(rows, { total: Math.ceil(rows * share), pageSize })).toBe(false);
      }),
    );
  });

  it('is cut short where its total has more rows', () => {
    fc.assert(
      fc.property(ROWS, ROWS, PAGE_SIZES, (listed, missing, pageSize) => {
        expect(isCutShort(listed, { total: listed + missing, pageSize })).toBe(true);
      }),
    );
  });

  it('is cut short where its total has more pages, unless that could be its rows', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), ROWS, PAGE_SIZES, (pages, missing, pageSize) => {
        const listed = pages * pageSize;
        const total = pagesOf(listed + missing, pageSize);
        fc.pre(total > listed || total < 0.9 * listed);
        expect(isCutShort(listed, { total, pageSize })).toBe(true);
      }),
    );
  });

  it('of nothing is one page at most', () => {
    fc.assert(
      fc.property(fc.oneof(fc.integer({ min: 0, max: 2 }), ROWS), PAGE_SIZES, (total, pageSize) => {
        expect(isCutShort(0, { total, pageSize })).toBe(total > 1);
      }),
    );
    expect(isCutShort(0, undefined)).toBe(false);
  });
});
