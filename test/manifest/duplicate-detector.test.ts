import { join } from 'node:path';
import { tmpdir } from 'node:os';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ScratchUnavailable } from '../../src/manifest/scratch-file.ts';
import { DuplicateDetector } from '../../src/manifest/duplicate-detector.ts';
import { generateCertificates } from '../../src/sandbox/generate.ts';

const CA = { instanceId: 'post-cn-a', caSn: '00aa' };

/** The smallest tables there can be: each of the 16 is written down with every 13th certificate. */
const SMALLEST = { mostSlots: 16 };

function withSeen(
  options: ConstructorParameters<typeof DuplicateDetector>[0],
  work: (seen: DuplicateDetector) => void,
): void {
  const seen = new DuplicateDetector(options);
  try {
    work(seen);
  } finally {
    seen.close();
  }
}

describe('DuplicateDetector', () => {
  it.each([
    ['in memory', {}],
    ['in memory and in a file', SMALLEST],
  ])('answers like a set of the texts, %s', (_, options) => {
    const field = fc.string({ unit: fc.constantFrom('a', 'b', 'é', '器', '0'), minLength: 1, maxLength: 3 });
    const certificate = fc.record({ instanceId: field, caSn: field, deviceSn: field });
    fc.assert(
      fc.property(fc.array(certificate, { maxLength: 600, size: 'max' }), (certificates) => {
        withSeen(options, (seen) => {
          const texts = new Set<string>();
          for (const one of certificates) {
            const text = JSON.stringify([one.instanceId, one.caSn, one.deviceSn]);
            expect(seen.has(one)).toBe(texts.has(text));
            expect(seen.add(one)).toBe(!texts.has(text));
            expect(seen.has(one)).toBe(true);
            texts.add(text);
          }
        });
      }),
      { numRuns: 50 },
    );
  });

  it('keeps fields apart and cares for every one', () => {
    withSeen({}, (seen) => {
      const all = ['a b c', 'ab c c', 'a bc c', 'a b cc', 'b a c', 'a c b', 'A b c', '0a b c', 'a b c0'];
      for (const text of [...all, ...all].entries()) {
        const [instanceId = '', caSn = '', deviceSn = ''] = text[1].split(' ');
        expect(seen.add({ instanceId, caSn, deviceSn })).toBe(text[0] < all.length);
      }
    });
  });

  // 300,000 have slots of 8 MiB, with as much again for tables that grew and wait for the collector. 100,000 that are mostly
  // in the file have slots of 256 KiB and tags of 256 KiB; in memory they would have 4 MiB.
  it.each([
    ['all in memory', 300_000, {}, 24],
    ['mostly in a file', 100_000, { mostSlots: 1_024 }, 2],
  ])('forgets none and invents none while it grows, %s, in small memory', (_, count, options, mostMb) => {
    const before = process.memoryUsage().arrayBuffers;
    withSeen(options, (seen) => {
      let fresh = 0;
      for (const one of generateCertificates(count, { seed: 1, ...CA })) fresh += Number(seen.add(one));
      expect(fresh).toBe(count);
      let again = 0;
      for (const one of generateCertificates(count, { seed: 1, ...CA })) again += Number(!seen.add(one));
      expect(again).toBe(count);
      expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(mostMb * 2 ** 20);
    });
  });

  it('needs the folder for temporary files only for many certificates, and says so when it is not there', () => {
    const folder = join(tmpdir(), 'certsweep-absent', 'below');
    withSeen({ ...SMALLEST, folder }, (seen) => {
      const certificates = [...generateCertificates(1_000, { seed: 1, ...CA })];
      let added = 0;
      const addAll = (): void => {
        for (const one of certificates) added += Number(seen.add(one));
      };
      expect(addAll).toThrow(ScratchUnavailable);
      expect(added).toBeGreaterThan(16);
    });
  });
});
