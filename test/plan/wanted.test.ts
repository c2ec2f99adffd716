import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RegisteredDevice } from '../../src/core/registered.ts';
import { DigestMarks } from '../../src/plan/digest-marks.ts';
import { Spool } from '../../src/plan/spool.ts';
import { WantedManifest } from '../../src/plan/wanted.ts';

const certificate = fc.record({
  instanceId: fc.constantFrom('i1', 'i2'),
  caSn: fc.constantFrom('A', 'B', 'C'),
  deviceSn: fc.constantFrom('1', '2', '3', '4'),
});
const sighting = fc.tuple(certificate, fc.constantFrom('active', 'inactive'));

function registered(caSn: string, deviceSn: string, status: 'active' | 'inactive'): RegisteredDevice {
  return { caSn, deviceSn, status, deviceName: '', content: '', validBeginMs: undefined, validEndMs: undefined };
}

describe('what is wanted of a manifest', () => {
  it('is what a plain map of all that was seen says, in the order of the manifest', () => {
    fc.assert(
      fc.property(fc.array(certificate, { maxLength: 20 }), fc.array(sighting, { maxLength: 40 }), (named, seen) => {
        const wanted = new WantedManifest();
        const distinct = named.filter((one) => wanted.add(one));
        const said = new Map<string, string>();
        const devices = new Set<string>();
        for (const [{ instanceId, caSn, deviceSn }, status] of seen) {
          wanted.see(instanceId, registered(caSn, deviceSn, status));
          said.set(`${instanceId} ${caSn} ${deviceSn}`, status);
          devices.add(`${instanceId} ${deviceSn}`);
        }
        const expected = distinct.map((one) => {
          const { instanceId, caSn, deviceSn } = one;
          const elsewhere = devices.has(`${instanceId} ${deviceSn}`) ? 'otherCa' : 'absent';
          return { certificate: one, as: said.get(`${instanceId} ${caSn} ${deviceSn}`) ?? elsewhere };
        });
        // Twice: a plan is drawn, and then written.
        expect([...wanted.classified()]).toEqual(expected);
        expect([...wanted.classified()]).toEqual(expected);
        expect(new Set(named.map((one) => JSON.stringify(one))).size).toBe(distinct.length);
        wanted.close();
      }),
    );
  });
});

describe('marks', () => {
  it('keep each text its own through every growth', () => {
    const marks = new DigestMarks(128);
    const count = 20_000;
    for (let n = 0; n < count; n += 1) expect(marks.add(`text ${n}`, n % 3)).toBe(true);
    expect(marks.add('text 7', 2)).toBe(false);
    for (let n = 0; n < count; n += 2) marks.mark(`text ${n}`, 200);
    marks.mark('unknown', 1);
    const wrong = Array.from({ length: count }, (_, n) => n).filter(
      (n) => marks.get(`text ${n}`) !== (n % 2 === 0 ? 200 : n % 3),
    );
    expect(wrong).toEqual([]);
    expect(marks.get('unknown')).toBeUndefined();
  });
});

describe('a spool', () => {
  it('gives back every line beyond one block, with letters of several bytes across its bounds', () => {
    const spool = new Spool();
    const lines = Array.from({ length: 60_000 }, (_, n) => `${n} ${'ü€😀'.repeat(n % 9)}`);
    for (const line of lines) spool.write(`${line}\n`);
    const read = [...spool.lines()];
    expect(read.length).toBe(lines.length);
    expect(read.every((line, n) => line === lines[n])).toBe(true);
    spool.write('one more\n');
    expect([...spool.lines()].at(-1)).toBe('one more');
    spool.close();
  });
});
