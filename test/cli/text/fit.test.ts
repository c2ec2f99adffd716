import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { columnsOf, cut, fit, wrap } from '../../../src/cli/text/fit.ts';

const width = fc.integer({ min: 1, max: 130 });
const text = fc.oneof(fc.string({ unit: 'grapheme' }), fc.lorem({ maxCount: 60 }), fc.constant('过期的证书 expired'));

it.each([
  ['Report        a path and 5,000 rows', 30, ['Report        a path and 5,000', '              rows']],
  ['  ok     submitted all of them', 22, ['  ok     submitted all', '         of them']],
  ['1/6 Redis     a private one in a folder', 30, ['1/6 Redis     a private one in', '              a folder']],
  ['1/6 Redis     a private one', 20, ['1/6 Redis     a', 'private one']],
  ['Dead items are expected', 12, ['Dead items', 'are expected']],
])('below %j its text continues under the text', (text_, columns, lines) => {
  expect(fit(text_, columns).split('\n')).toEqual(lines);
});

describe('a long text', () => {
  it('is cut with an ellipsis, and a short one left alone', () => {
    expect(cut('post-cn-production', 10)).toBe('post-cn-p…');
    expect(cut('post-cn', 10)).toBe('post-cn');
    expect(cut('过期的证书', 7)).toBe('过期的…');
    fc.assert(fc.property(text, width, (long, columns) => columnsOf(cut(long, columns)) <= columns));
  });

  it('is broken between words, and loses none of them', () => {
    expect(wrap('Specified access key is not found', 14, '  ')).toEqual([
      'Specified',
      '  access key',
      '  is not found',
    ]);
    expect(wrap('a 0123456789abcdef b', 8, '  ')).toEqual(['a', '  012345', '  6789ab', '  cdef b']);
    fc.assert(
      fc.property(text, fc.integer({ min: 8, max: 130 }), (long, columns) => {
        const lines = wrap(long, columns, '  ');
        expect(lines.map(columnsOf).every((columns_) => columns_ <= columns)).toBe(true);
        expect(lines.join('').replaceAll(' ', '')).toBe(long.replaceAll(' ', ''));
      }),
    );
  });
});
