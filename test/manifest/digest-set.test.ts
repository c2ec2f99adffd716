import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import fc from 'fast-check';
import { expect, it, vi } from 'vitest';
import { DIGEST_WORDS, DigestSet } from '../../src/manifest/digest-set.ts';
import { ScratchFile } from '../../src/manifest/scratch-file.ts';

/** A table is frozen when it holds more than three quarters of it. */
const FEWEST_SLOTS = 16;
const FULL = 13;

function withSet(mostSlots: number, work: (set: DigestSet, file: ScratchFile) => void): void {
  const file = new ScratchFile(tmpdir());
  try {
    work(new DigestSet(file, mostSlots), file);
  } finally {
    file.close();
  }
}

/** Random, and the same ones in each run. */
function digests(count: number): Uint32Array[] {
  return Array.from({ length: count }, (_, n) => {
    const bytes = createHash('sha256').update(String(n)).digest();
    return Uint32Array.from({ length: DIGEST_WORDS }, (__, word) => bytes.readUInt32LE(word * 4));
  });
}

it('answers like a set, over many frozen tables, for digests that meet at one place and have like tags', () => {
  // Places 0, 1 and 15 of 16; tags of 255 are those of 0; and the zeros that mark what is free.
  const word = fc.constantFrom(0, 1, 15, 16, 254, 255, 510, 2 ** 32 - 1);
  const digest = fc.tuple(word, word, word, word);
  let mostTables = 0;
  fc.assert(
    fc.property(fc.array(digest, { maxLength: 400, size: 'max' }), (all) => {
      withSet(FEWEST_SLOTS, (set) => {
        const model = new Set<string>();
        for (const [first, ...others] of all) {
          // What marks a free slot is taken for its neighbour: a bit of 128.
          const text = [first === 0 ? 1 : first, ...others].join();
          expect(set.add(Uint32Array.of(first, ...others))).toBe(!model.has(text));
          model.add(text);
        }
        mostTables = Math.max(mostTables, Math.floor(model.size / FULL));
      });
    }),
    { numRuns: 100 },
  );
  expect(mostTables).toBeGreaterThan(16);
});

it('tells digests apart that share place and tag, and finds each again in its frozen table', () => {
  withSet(FEWEST_SLOTS, (set, file) => {
    const read = vi.spyOn(file, 'read');
    const alike = Array.from({ length: 10 * FULL }, (_, n) => Uint32Array.of(7, 5, 3, n));
    for (const one of alike) expect(set.add(one)).toBe(true);
    expect(read).toHaveBeenCalled();
    for (const one of alike) expect(set.add(one)).toBe(false);
    for (const word of [0, 1, 2]) {
      const other = Uint32Array.of(7, 5, 3, 0);
      other[word] = 4;
      expect(set.add(other)).toBe(true);
    }
  });
});

it('writes nothing before its table is full, and then reads only where a tag agrees', () => {
  const mostSlots = 1_024;
  const full = mostSlots * 0.75 + 1;
  withSet(mostSlots, (set, file) => {
    const append = vi.spyOn(file, 'append');
    const read = vi.spyOn(file, 'read');
    const all = digests(full * 20);
    for (const one of all.slice(0, full - 1)) expect(set.add(one)).toBe(true);
    expect(append).not.toHaveBeenCalled();
    for (const one of all.slice(full - 1)) expect(set.add(one)).toBe(true);
    expect(append).toHaveBeenCalledTimes(20);
    // Each digest was looked for in 10 frozen tables on the average. 1.4% is expected; tags that follow the place would be 30%.
    expect(read.mock.calls.length).toBeLessThan(0.025 * 10 * all.length);
    for (const one of all) expect(set.add(one)).toBe(false);
  });
});
