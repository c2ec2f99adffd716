import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SeenCertificates } from '../../src/manifest/seen.ts';
import { generateCertificates } from '../../src/sandbox/generate.ts';

const CA = { instanceId: 'post-cn-a', caSn: '00aa' };

describe('SeenCertificates', () => {
  it('answers like a set of the texts', () => {
    const field = fc.string({ unit: fc.constantFrom('a', 'b', 'é', '器', '0'), minLength: 1, maxLength: 3 });
    const certificate = fc.record({ instanceId: field, caSn: field, deviceSn: field });
    fc.assert(
      fc.property(fc.array(certificate, { maxLength: 300 }), (certificates) => {
        const seen = new SeenCertificates();
        const texts = new Set<string>();
        for (const one of certificates) {
          const text = JSON.stringify([one.instanceId, one.caSn, one.deviceSn]);
          expect(seen.add(one)).toBe(!texts.has(text));
          texts.add(text);
        }
      }),
    );
  });

  it('keeps fields apart and cares for every one', () => {
    const seen = new SeenCertificates();
    const all = ['a b c', 'ab c c', 'a bc c', 'a b cc', 'b a c', 'a c b', 'A b c', '0a b c', 'a b c0'];
    for (const text of [...all, ...all].entries()) {
      const [instanceId = '', caSn = '', deviceSn = ''] = text[1].split(' ');
      expect(seen.add({ instanceId, caSn, deviceSn })).toBe(text[0] < all.length);
    }
  });

  it('forgets none and invents none while it grows, in small memory', () => {
    const before = process.memoryUsage().arrayBuffers;
    const seen = new SeenCertificates();
    let fresh = 0;
    for (const one of generateCertificates(300_000, { seed: 1, ...CA })) fresh += Number(seen.add(one));
    expect(fresh).toBe(300_000);
    let again = 0;
    for (const one of generateCertificates(300_000, { seed: 1, ...CA })) again += Number(!seen.add(one));
    expect(again).toBe(300_000);
    // 8 MiB of slots, and as much again for tables that grew and wait for the collector.
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(24 * 2 ** 20);
  });
});
