import { describe, expect, it } from 'vitest';
import type { BatchDetail } from '../../../src/app/overview.ts';
import { columnsOf } from '../../../src/cli/text/fit.ts';
import { describeBatchNow, describeOverview } from '../../../src/cli/text/status.ts';

const PAUSED: BatchDetail = {
  batch: '20261127-115359-7sgnaps596phq5jl4mcbq4hdgs',
  action: 'delete',
  state: 'paused',
  accepted: 12_000_000,
  revoked: 1_632_000,
  alreadyGone: 700_000,
  dead: 102_000,
  cancelled: 0,
  pending: 9_566_000,
  forgotten: 0,
  ratePerSecond: 271.3,
  etaSeconds: 35_260,
  confirmedByAbsence: 0,
  priority: 'urgent',
  submittedAt: '2026-11-27T11:53:59.000Z',
  reason: 'ticket 4711 '.repeat(20).trim(),
  pausedBecause: 'too many are dead: see certsweep dead list, then certsweep resume',
};
const { pausedBecause: _why, ...REST } = PAUSED;
const RUNNING: BatchDetail = { ...REST, state: 'running', batch: 'b-2' };
const HALT = { account: 'prod', code: 'Forbidden.RAM', message: 'no '.repeat(60), since: 0, nextProbeAt: 0 };
const ALL = { batches: [PAUSED, RUNNING], halts: [HALT], lowered: [] };
const LOOK = {
  detail: PAUSED,
  condition: 'held',
  isDone: false,
  halts: [HALT],
  lowered: [{ account: 'prod', qps: 100, untilMs: 0 }],
  lanesLost: true,
  unattended: ['prod'],
} as const;

const STOP = { since: 0, requestedBy: 'ada', reason: 'wrong fleet' };

describe('status', () => {
  it('says first of all that everything is stopped, then what is halted, and then what is lowered', () => {
    const firstWords = (text: string): (string | undefined)[] => text.split('\n').map((line) => line.split(' ')[0]);
    const overview = describeOverview({ ...ALL, stop: STOP, lowered: LOOK.lowered }, 'here');
    expect(firstWords(overview).slice(0, 3)).toEqual(['STOPPED', 'HALTED', 'Account']);
    const look = firstWords(describeBatchNow({ ...LOOK, stop: STOP }));
    expect(look.slice(0, 2)).toEqual(['STOPPED', 'HALTED']);
    expect(look).toContain('Account');
  });

  it('says states and problems as words, with the figures of a batch below its name', () => {
    const [halted, ...batches] = describeOverview(ALL, 'here').split('\n');
    expect(halted).toMatch(/^HALTED account prod since .*certsweep doctor.*halt\.$/);
    expect(batches).toEqual([
      `${PAUSED.batch}  paused: too many are dead: see certsweep dead list, then certsweep resume`,
      '  2,434,000 of 12,000,000  revoked 1,632,000  already gone 700,000',
      '  dead 102,000  pending 9,566,000',
      'b-2  running',
      '  2,434,000 of 12,000,000  revoked 1,632,000  already gone 700,000',
      '  dead 102,000  pending 9,566,000  271/s  ETA 9 h 48 min',
    ]);
  });

  it('says loudly that a batch waits for somebody, and until when one soaks', () => {
    const awaitsApproval = { certificates: 5_001, manifest: 'f'.repeat(64), submittedBy: 'ci' };
    const waiting: BatchDetail = { ...RUNNING, state: 'planned', accepted: 0, pending: 0, awaitsApproval };
    const soaking: BatchDetail = { ...RUNNING, batch: 'b-3', action: 'retire', phase: 'soaking', soakUntil: 'noon' };
    const [loud, ...batches] = describeOverview({ ...ALL, halts: [], batches: [waiting, soaking] }, 'here').split('\n');
    expect(loud).toMatch(/^AWAITS APPROVAL batch b-2, to delete 5,001 certificates, submitted by ci\..*approve b-2/);
    expect(batches).toContain('b-2  planned, awaits approval');
    expect(batches).toContain('b-3  retire  running, soaking until noon');
    const look = describeBatchNow({ ...LOOK, halts: [], detail: waiting });
    expect(look).toMatch(/^AWAITS APPROVAL[^]*\nstate +planned, awaits approval\n/);
    // Once it was cancelled, it waits for nobody.
    expect(describeBatchNow({ ...LOOK, detail: { ...waiting, state: 'cancelled' } })).not.toContain('APPROVAL');
  });

  it.each([80, 120])('fits %i columns on a terminal, and has no colour that could be missed', (columns) => {
    for (const text of [describeOverview(ALL, 'here', columns), describeBatchNow(LOOK, columns)]) {
      expect(text.split('\n').filter((line) => columnsOf(line) >= columns)).toEqual([]);
      expect(text).not.toContain('\u001B');
    }
    // A reason is broken, not cut; where a name is followed by one, that is cut.
    expect(describeBatchNow(LOOK, columns).match(/4711/g)).toHaveLength(20);
    expect(describeOverview(ALL, 'here', columns)).toContain(`${PAUSED.batch}  paused: too many are dead`);
  });
});
