import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { printable, printableJson, printableLines, wellFormed } from '../../src/core/printable.ts';

const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;
const anyText = fc.string({ unit: 'binary', maxLength: 200 });

it('has no half of a character, where a script is to read it', () => {
  expect(wellFormed('a\ud83d\ude00b')).toBe('a\ud83d\ude00b');
  expect(wellFormed('\ude00a\ud83d')).toBe('\ufffda\ufffd');
});

describe('text for a terminal', () => {
  it.each([
    ['a\u001B[2Kb', String.raw`a\u{1b}[2Kb`],
    ['a\u009Bb', String.raw`a\u{9b}b`],
    ['a\u202Eb', String.raw`a\u{202e}b`],
    ['a\u2028b', String.raw`a\u{2028}b`],
    ['a\u{E0041}b', String.raw`a\u{e0041}b`],
    ['a\nb', String.raw`a\u{a}b`],
    ['naïve 日本語 👍', 'naïve 日本語 👍'],
  ])('%j', (text, shown) => {
    expect(printable(text)).toBe(shown);
  });

  it('hides nothing, whatever it is', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(printable(text)).not.toMatch(HIDDEN);
        expect(printableLines(text).replaceAll(/[\n\t]/g, '')).not.toMatch(HIDDEN);
      }),
    );
  });

  it('keeps its lines where it may have some', () => {
    expect(printableLines('a\n\tb\r\n')).toBe('a\n\tb\\u{d}\n');
  });
});

describe('JSON for a terminal', () => {
  it('hides nothing and means the same, whatever it is', () => {
    fc.assert(
      fc.property(fc.dictionary(anyText, anyText), (value) => {
        const json = printableJson(JSON.stringify(value));
        expect(json).not.toMatch(HIDDEN);
        expect(JSON.parse(json)).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });
});
