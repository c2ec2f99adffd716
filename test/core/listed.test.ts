import { expect, it } from 'vitest';
import { isCutShort } from '../../src/core/listed.ts';

it.each([
  // Totals of rows: as many, more, and one that lags a little behind.
  [{ listed: 230, total: 230, pageSize: 100 }, false],
  [{ listed: 160, total: 230, pageSize: 100 }, true],
  [{ listed: 230, total: 229, pageSize: 100 }, false],
  // Totals of pages.
  [{ listed: 230, total: 3, pageSize: 100 }, false],
  [{ listed: 160, total: 3, pageSize: 100 }, true],
  // Nothing may be one page.
  [{ listed: 0, total: 1, pageSize: 100 }, false],
  [{ listed: 0, total: 2, pageSize: 100 }, true],
  [{ listed: 160, total: undefined, pageSize: 100 }, false],
])('of %o a listing is cut short: %s', ({ listed, ...page }, isShort) => {
  expect(isCutShort(listed, page)).toBe(isShort);
});
