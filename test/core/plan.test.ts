import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CaTally, CERTIFICATE_CLASSES, classOf, coveredBy, isPlanned, obstaclesOf } from '../../src/core/plan.ts';
import { describeWarning, warningsOf } from '../../src/core/plan-warning.ts';

const aClass = fc.constantFrom(...CERTIFICATE_CLASSES);
const aCa = fc.constantFrom('CA1', 'CA2', 'CA3');
const named = fc.array(fc.tuple(aCa, aClass), { maxLength: 60 });
const others = fc.record({ CA1: fc.nat(50), CA2: fc.nat(50), CA3: fc.nat(50) });
const statuses = fc.record({
  CA1: fc.constantFrom('active', 'inactive', 'absent'),
  CA2: fc.constantFrom('active', 'inactive', 'absent'),
  CA3: fc.constantFrom('active', 'inactive', 'absent'),
} as const);
type Ca = 'CA1' | 'CA2' | 'CA3';

function sharesOf(
  rows: readonly (readonly [string, (typeof CERTIFICATE_CLASSES)[number]])[],
  surviving: Record<Ca, number>,
  of: Record<Ca, 'active' | 'inactive' | 'absent'>,
) {
  const tally = new CaTally();
  for (const [caSn, as] of rows) tally.add({ instanceId: 'i', caSn }, as);
  const covered = (ca: string): number => rows.filter(([caSn, as]) => caSn === ca && isPlanned(as)).length;
  const cas = tally.shares(
    (_, ca) => covered(ca) + surviving[ca as Ca],
    (_, ca) => of[ca as Ca],
  );
  return { cas, classes: tally.classes };
}

describe('classOf', () => {
  it('believes what is registered as it was named before anything else', () => {
    fc.assert(
      fc.property(fc.constantFrom('active', 'inactive', undefined), fc.boolean(), (status, isDeviceKnown) => {
        const as = classOf({ status, isDeviceKnown });
        expect(as).toBe(status ?? (isDeviceKnown ? 'otherCa' : 'absent'));
        expect(isPlanned(as)).toBe(status !== undefined);
      }),
    );
  });
});

describe('a tally', () => {
  it('loses and invents no certificate, and counts what survives', () => {
    fc.assert(
      fc.property(named, others, statuses, (rows, surviving, of) => {
        const { cas, classes } = sharesOf(rows, surviving, of);
        for (const name of CERTIFICATE_CLASSES) {
          const count = rows.filter(([, as]) => as === name).length;
          expect(classes[name]).toBe(count);
          expect(cas.reduce((sum, ca) => sum + ca.classes[name], 0)).toBe(count);
        }
        expect(cas.reduce((sum, { covered }) => sum + covered, 0)).toBe(coveredBy(classes));
        expect(new Set(cas.map(({ caSn }) => caSn))).toEqual(new Set(rows.map(([caSn]) => caSn)));
        for (const ca of cas) expect(ca.surviving).toBe(surviving[ca.caSn as Ca]);
      }),
    );
  });
});

describe('the caps', () => {
  it('let a plan pass exactly when it is within them, and nothing empty', () => {
    const caps = fc.record({
      maxItems: fc.option(fc.integer({ min: 1, max: 40 }), { nil: undefined }),
      maxShareOfCa: fc.option(fc.constantFrom(0.05, 0.25, 0.5, 1), { nil: undefined }),
    });
    fc.assert(
      fc.property(named, others, statuses, caps, (rows, surviving, of, { maxItems, maxShareOfCa }) => {
        const { cas, classes } = sharesOf(rows, surviving, of);
        const certificates = coveredBy(classes);
        const obstacles = obstaclesOf(cas, { maxItems, maxShareOfCa });
        const isWithin =
          certificates > 0 &&
          certificates <= (maxItems ?? Infinity) &&
          cas.every((ca) => ca.covered <= (maxShareOfCa ?? 1) * (ca.covered + ca.surviving));
        expect(obstacles.length === 0).toBe(isWithin);
        expect(obstacles.some(({ kind }) => kind === 'empty')).toBe(certificates === 0);
      }),
    );
  });
});

it('the cap of a share lets exactly that share pass', () => {
  const share = {
    instanceId: 'i',
    caSn: 'CA1',
    status: 'active',
    classes: { active: 0, inactive: 0, absent: 0, otherCa: 0 },
  } as const;
  for (let percent = 1; percent <= 100; percent += 1) {
    const [within, beyond] = [percent, percent + 1].map((covered) =>
      obstaclesOf([{ ...share, covered, surviving: 100 - covered }], { maxShareOfCa: Number(`${percent}e-2`) }),
    );
    expect({ percent, within }).toEqual({ percent, within: [] });
    expect(beyond).toHaveLength(1);
  }
});

describe('the warnings', () => {
  it('name each active CA that loses certificates, each that loses all, and each that is not there', () => {
    fc.assert(
      fc.property(named, others, statuses, (rows, surviving, of) => {
        const { cas, classes } = sharesOf(rows, surviving, of);
        const warnings = warningsOf('delete', cas, classes, { state: 'stable', isCutShort: false, unreadable: 0 });
        const about = (kind: string): string[] =>
          warnings.flatMap((one) => (one.kind === kind && 'caSn' in one ? [one.caSn] : []));
        const those = (fits: (ca: (typeof cas)[number]) => boolean): string[] =>
          cas.filter(fits).map(({ caSn }) => caSn);
        expect(about('ca-active')).toEqual(those((ca) => ca.covered > 0 && ca.status === 'active'));
        expect(about('ca-whole')).toEqual(those((ca) => ca.covered > 0 && ca.surviving === 0));
        expect(about('ca-absent')).toEqual(those((ca) => ca.status === 'absent'));
        expect(warnings.some(({ kind }) => kind === 'absent')).toBe(classes.absent > 0);
        expect(warnings.some(({ kind }) => kind === 'other-ca')).toBe(classes.otherCa > 0);
        for (const warning of warnings) expect(describeWarning(warning)).toMatch(/^[^\n]+\.$/);
      }),
    );
  });

  it('say of an inactive mark under an active CA that deleting removes it', () => {
    const { cas, classes } = sharesOf(
      [
        ['CA1', 'inactive'],
        ['CA1', 'inactive'],
      ],
      { CA1: 3, CA2: 0, CA3: 0 },
      { CA1: 'active', CA2: 'absent', CA3: 'absent' },
    );
    const words = warningsOf('delete', cas, classes, { state: 'moved', isCutShort: true, unreadable: 1 }).map(
      describeWarning,
    );
    expect(words[0]).toContain('Deleting its 2 inactive certificates removes the mark that keeps these devices out');
    expect(words.slice(1)).toEqual([
      expect.stringContaining('plan again'),
      expect.stringContaining('its own total'),
      expect.stringContaining('not counted'),
    ]);
  });
});
