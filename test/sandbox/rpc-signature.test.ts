import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseForm, signRpc } from '../../src/sandbox/rpc-signature.ts';

const VECTOR = new Map([
  ['Action', 'DescribeDedicatedHosts'],
  ['Version', '2014-05-26'],
  ['AccessKeyId', 'testid'],
  ['Format', 'JSON'],
  ['RegionId', 'cn-beijing'],
  ['SignatureMethod', 'HMAC-SHA1'],
  ['SignatureNonce', 'edb2b34af0af9a6d14deaf7c1a5315eb'],
  ['SignatureVersion', '1.0'],
  ['Timestamp', '2023-03-13T08:34:30Z'],
]);

describe('signRpc', () => {
  it('gives the published vector', () => {
    expect(signRpc('GET', VECTOR, 'testsecret')).toBe('9NaGiOspFP5UPcwX8Iwt2YJXXuk=');
  });

  it('leaves the signature itself out and depends on everything else', () => {
    const signed = signRpc('GET', VECTOR, 'testsecret');
    expect(signRpc('GET', new Map([...VECTOR, ['Signature', 'x']]), 'testsecret')).toBe(signed);
    expect(signRpc('POST', VECTOR, 'testsecret')).not.toBe(signed);
    expect(signRpc('GET', VECTOR, 'other')).not.toBe(signed);
    expect(signRpc('GET', new Map([...VECTOR, ['RegionId', 'cn-hangzhou']]), 'testsecret')).not.toBe(signed);
  });
});

describe('parseForm', () => {
  it('reads back what a form says', () => {
    const text = fc.string({ unit: 'grapheme' });
    fc.assert(
      fc.property(fc.uniqueArray(fc.tuple(text, text), { selector: ([name]) => name, minLength: 1 }), (pairs) => {
        expect([...(parseForm(new URLSearchParams(pairs).toString()) ?? [])]).toEqual(pairs);
      }),
    );
  });

  it('keeps the first of two values and refuses a broken escape', () => {
    expect(parseForm('a=1&a=2')?.get('a')).toBe('1');
    expect(parseForm('a=%E0%A4')).toBeUndefined();
    expect(parseForm('')).toEqual(new Map());
    expect(parseForm('flag')).toEqual(new Map([['flag', '']]));
  });
});
