import { count, groupDigits } from '../../core/counting.ts';
import type { AuditEntry, ChainVerdict } from '../../app/audit.ts';
import type { ForgottenBatch } from '../../app/control.ts';
import { printable } from '../../core/printable.ts';
import { describeEnds } from './action.ts';

/** An entry for a person: what, of which batch, by whom, why. */
export function describeEntry(entry: AuditEntry): string {
  const { seq, at, event, batch, action, ca, schedule, user, host, pid, requestedBy, reason, counts, manifestSha256 } =
    entry;
  const head = [
    `#${seq}`,
    isoOf(at),
    event,
    ...(batch === null ? [] : [batch]),
    ...(schedule === undefined ? [] : [schedule]),
    ...(ca === undefined ? [] : [`${ca.instanceId} ${ca.caSn}`]),
  ].join('  ');
  const process = `${user}@${host}, process ${pid}`;
  const lines = [requestedBy === null ? `by ${process}` : `requested by ${requestedBy} (${process})`];
  if (action !== undefined) lines.push(`action: ${action}`);
  if (reason !== null) lines.push(`reason: ${reason}`);
  if (counts !== null) lines.push(describeCounts(counts));
  if (manifestSha256 !== null) lines.push(`manifest: SHA-256 ${manifestSha256}`);
  return [head, ...lines.map((line) => `  ${line}`)].map(printable).join('\n');
}

/** What `--verify` says; `lastHash` is what to keep elsewhere. */
export function describeChain(verdict: ChainVerdict): string {
  if (verdict.kind === 'broken') return `The record is broken at entry ${verdict.seq}: ${verdict.why}.`;
  if (verdict.entries === 0) return 'The record has no entry yet.';
  const entries = verdict.entries === 1 ? '1 entry' : `${groupDigits(verdict.entries)} entries`;
  return `The record is whole: ${entries}, the last with the hash ${verdict.lastHash}.`;
}

/** What is left of a batch that was forgotten. */
export function describeForgotten({ batch, action, forgottenAt, counts, ...rest }: ForgottenBatch): string {
  const { requestedBy, reason, manifestSha256, reportSha256, auditSeq } = rest;
  const accepted = `${count(counts.accepted, 'certificate')} accepted${action === 'delete' ? '' : ` to ${action}`}`;
  const lines = [
    `Batch ${batch} was forgotten at ${isoOf(forgottenAt)} (entry ${auditSeq} of certsweep audit): ${accepted}, ${describeEnds(action, counts)}.`,
    ...(requestedBy === undefined ? [] : [`Requested by ${requestedBy}.`]),
    ...(reason === undefined ? [] : [`Reason: ${reason}`]),
    ...(manifestSha256 === undefined ? [] : [`SHA-256 of its manifest: ${manifestSha256}`]),
    ...(reportSha256 === undefined ? [] : [`SHA-256 of its report (certsweep report, CSV): ${reportSha256}`]),
  ];
  return lines.map(printable).join('\n');
}

function describeCounts(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .filter(([, value]) => value !== 0)
    .map(([name, value]) => `${name} ${groupDigits(value)}`)
    .join(', ');
}

function isoOf(unixMs: number): string {
  return new Date(unixMs).toISOString();
}
