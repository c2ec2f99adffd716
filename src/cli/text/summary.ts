import { count, duration, groupDigits } from '../../core/counting.ts';
import type { BatchSummary, CodeCount } from '../../app/summary.ts';
import { printable } from '../../core/printable.ts';
import { endsOf } from './action.ts';
import { EXPECTED_STATUS } from './verify.ts';

/** What Markdown, or HTML within it, would take for more than a letter. */
const SPECIAL = /[\\`*_~[\]<>|#&]/g;

/** A summary in Markdown. What was written by others has neither control characters nor any meaning for Markdown. */
export function summaryPage(summary: BatchSummary): string {
  const { batch, codes, durationSeconds, itemsPerSecond, forgotten, confirmedByAbsence } = summary;
  const about: [string, string | null][] = [
    ['action', summary.action],
    ['state', summary.state],
    ['requested by', summary.requestedBy],
    ['reason', summary.reason],
    ['submitted', summary.submittedAt],
    ['completed', summary.completedAt],
    ['SHA-256 of the manifest', summary.manifestSha256],
    ['plan', summary.planId],
    ['duration, pauses included', durationSeconds === null ? null : duration(durationSeconds)],
    ['pace', itemsPerSecond === null ? null : `${itemsPerSecond} items a second`],
    ['calls', groupDigits(summary.calls)],
    ['this summary', summary.summarizedAt],
  ];
  const counts: [string, number][] = [
    ['accepted', summary.accepted],
    ...endsOf(summary.action, summary).map(({ label, items }): [string, number] => [label, items]),
    ['pending', summary.pending],
  ];
  const notes = [
    ...(confirmedByAbsence === 0
      ? []
      : [`Of the revoked, ${groupDigits(confirmedByAbsence)} were confirmed by absence after a lost answer.`]),
    ...(forgotten === 0
      ? []
      : [`Codes and calls of ${count(forgotten, 'outcome')} are not counted: taken out of Redis.`]),
  ];
  return [
    `# Batch ${literal(batch)}`,
    ...markdownTable(
      ['', ''],
      about.map(([name, value]) => [name, value === null ? '-' : literal(value)]),
    ),
    '## Counts',
    ...markdownTable(
      ['outcome', 'items'],
      counts.map(([name, items]) => [name, groupDigits(items)]),
    ),
    ...notes.flatMap((note) => [note, '']),
    '## Codes',
    ...markdownTable(['outcome', 'code', 'items'], codes.map(codeCells)),
    '## Verification',
    describeVerified(summary),
    '',
  ]
    .flatMap((line) => (line.startsWith('#') ? [line, ''] : [line]))
    .join('\n');
}

function codeCells({ outcome, code, items }: CodeCount): readonly string[] {
  return [outcome, code === '' ? 'no call' : literal(code), groupDigits(items)];
}

function describeVerified({ batch, action, verification }: BatchSummary): string {
  if (verification === null) return `None was made. \`certsweep verify ${printable(batch)}\` makes one.`;
  const { verifiedAt, checked, remaining, pending, isWhole } = verification;
  return [
    `At ${verifiedAt}, ${groupDigits(remaining)} of ${count(checked, 'certificate')} ${remaining === 1 ? 'was' : 'were'} still ${EXPECTED_STATUS[action].found}.`,
    ...(pending === 0 ? [] : [`Not checked, as they had no outcome then: ${count(pending, 'item')}.`]),
    ...(isWhole ? [] : ['The listing changed its order while it was read, so some may have been missed.']),
  ].join(' ');
}

function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line), ''];
}

function literal(text: string): string {
  return printable(text).replace(SPECIAL, String.raw`\$&`);
}
