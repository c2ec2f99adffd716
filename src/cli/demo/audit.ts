import { count, groupDigits } from '../../core/counting.ts';
import { outcomesOfAction } from '../../core/action.ts';
import { COUNT_FIELD } from '../../core/batch.ts';
import type { Certificate } from '../../core/certificate.ts';
import { CLOUD_EGRESS_QPS, DEFAULT_EGRESS_QPS } from '../../core/pace.ts';
import type { REPORT_COLUMNS } from '../../ledger/report-text.ts';
import type { BatchDetail } from '../../app/overview.ts';
import type { SandboxReport } from '../../sandbox/observations.ts';

/** A row of the report, as it stands in the file. */
export type DemoRow = Readonly<Record<(typeof REPORT_COLUMNS)[number], string>>;

/** One thing that must be so if nothing was lost and nothing invented. */
export interface Sum {
  readonly holds: boolean;
  /** With the numbers, whether it holds or not. */
  readonly says: string;
}

/** Lays four witnesses beside each other: what was submitted, what the ledger counts, what the report says, what the sandbox saw. */
export function auditDemo(
  certificates: readonly Certificate[],
  detail: BatchDetail,
  rows: readonly DemoRow[],
  seen: SandboxReport,
): Sum[] {
  const { accepted, revoked, alreadyGone, dead, cancelled, pending } = detail;
  const ordinals = new Set(rows.map(({ ordinal }) => ordinal));
  const isTheirOwn = rows.every(({ ordinal, instanceId, caSn, deviceSn }) => {
    const submitted = certificates[Number(ordinal)];
    return submitted?.deviceSn === deviceSn && submitted.caSn === caSn && submitted.instanceId === instanceId;
  });
  const outcomes = outcomesOfAction(detail.action);
  const reported = outcomes.map((outcome) => rows.filter((row) => row.outcome === outcome).length);
  const n = groupDigits;
  return [
    {
      holds: accepted === certificates.length && accepted === revoked + alreadyGone + dead + cancelled + pending,
      says: `submitted ${n(certificates.length)}, accepted ${n(accepted)} = ${n(revoked)} revoked + ${n(alreadyGone)} already gone + ${n(dead)} dead + ${n(cancelled)} cancelled + ${n(pending)} pending`,
    },
    {
      holds: rows.length === accepted && ordinals.size === accepted && isTheirOwn,
      says: `the report has ${count(rows.length, 'row')} for ${n(ordinals.size)} different certificates, ${isTheirOwn ? 'all' : 'not all'} as submitted`,
    },
    {
      holds: outcomes.every((outcome, index) => detail[COUNT_FIELD[outcome]] === reported[index]),
      says: `its rows by outcome are ${outcomes.map((outcome, index) => `${n(reported[index] ?? 0)} ${outcome}`).join(', ')}`,
    },
    {
      holds: seen.deletions === revoked,
      says: `the sandbox deleted ${n(seen.deletions)}, we count ${n(revoked)} revoked`,
    },
    {
      holds: seen.certificates.called === accepted,
      says: `the sandbox was called for ${count(seen.certificates.called, 'certificate')}, of ${n(accepted)}`,
    },
  ];
}

export interface DemoResult {
  readonly detail: BatchDetail;
  readonly rows: readonly DemoRow[];
  readonly seen: SandboxReport;
  readonly sums: readonly Sum[];
  /** From the submission to the last outcome. */
  readonly tookMs: number;
  /** The report's path. */
  readonly report: string;
}

/** The demo's end, for a person. */
export function describeDemo({ detail, rows, seen, sums, tookMs, report }: DemoResult): string {
  const { accepted, revoked, alreadyGone, dead, confirmedByAbsence } = detail;
  const n = groupDigits;
  const seconds = tookMs / 1_000;
  const absence = confirmedByAbsence === 0 ? '' : ` (${n(confirmedByAbsence)} after a lost answer)`;
  const deadCodes = tally(rows.filter(({ outcome }) => outcome === 'dead').map(({ code }) => code));
  const lines: [string, string][] = [
    ['Outcomes', `${n(revoked)} revoked${absence}, ${n(alreadyGone)} already gone, ${n(dead)} dead`],
    [
      'Time',
      `${seconds.toFixed(1)} s, ${Math.round(accepted / seconds)} certificates a second, ramp and retries included`,
    ],
    [
      'Calls',
      `${n(seen.calls)} for ${count(accepted, 'certificate')}: ${n(seen.certificates.calledAgain)} needed more than one`,
    ],
    ['Worst second', describeWorst(seen)],
    ['Injected', list(Object.entries(seen.byFault))],
    ...(dead > 0 ? [['Dead', list(deadCodes)] satisfies [string, string]] : []),
    ['Report', `${report}, ${count(rows.length, 'row')}`],
  ];
  const width = Math.max(...lines.map(([name]) => name.length));
  return [
    ...lines.map(([name, value]) => `${name.padEnd(width)}  ${value}`),
    '',
    'Accounting',
    ...sums.map(({ holds, says }) => `  ${holds ? 'ok   ' : 'WRONG'}  ${says}`),
    ...(dead > 0
      ? [
          '',
          'Dead items are expected here: the sandbox always refuses these certificates. On a real batch, certsweep dead list shows each with its code, and certsweep dead retry --batch <batch> tries them again.',
        ]
      : []),
  ].join('\n');
}

function describeWorst(seen: SandboxReport): string {
  const addresses = Object.values(seen.egress);
  const worst = Math.max(0, ...addresses.map(({ worstSecond }) => worstSecond));
  const over = addresses.reduce((sum, { overQuota }) => sum + overQuota, 0);
  const found = `${worst} calls reached the sandbox; the pace is ${DEFAULT_EGRESS_QPS}, the cloud's limit ${CLOUD_EGRESS_QPS}`;
  if (worst <= DEFAULT_EGRESS_QPS) return found;
  // The witness' own stalls let calls pile up that had left at their proper moments.
  const excess = over === 0 ? '' : `, which it passed by ${over}`;
  return `${found}${excess} (the sandbox itself stood still for up to ${seen.worstLagMs} ms, so calls arrived in a bunch)`;
}

function tally(words: readonly string[]): [string, number][] {
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return [...counts];
}

function list(counts: readonly (readonly [string, number])[]): string {
  const sorted = counts.toSorted(([, a], [, b]) => b - a);
  return sorted.length === 0 ? 'nothing' : sorted.map(([name, times]) => `${groupDigits(times)} ${name}`).join(', ');
}
