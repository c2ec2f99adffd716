import { count } from '../../core/counting.ts';
import type { LiveStatus } from '../../app/find-live.ts';
import type { DeviceSearch, FoundDevice } from '../../app/find.ts';
import { printable } from '../../core/printable.ts';
import { labelOf } from './action.ts';

const LIVE_WORDS: Readonly<Record<LiveStatus, string>> = {
  active: 'registered, active',
  inactive: 'registered, inactive',
  'not-registered': 'not registered',
};

/**
 * One item of a batch, for a person.
 * @param live - undefined where the cloud was not asked, null where it did not say
 */
export function describeFound(found: FoundDevice, live?: LiveStatus | null): string {
  const { batch, n, action, outcome, code, requestId, settledAt, requestedBy, reason, certificate } = found;
  const end = outcome === null ? 'pending' : labelOf(outcome);
  const head = [batch, `item ${n}`, action, end].join('  ');
  const answer = [
    ...(code === null || code === '' ? [] : [`code ${code}`]),
    ...(requestId === null || requestId === '' ? [] : [`request ${requestId}`]),
  ].join(', ');
  const lines = [
    `${certificate.instanceId} ${certificate.caSn} ${certificate.deviceSn}`,
    ...(settledAt === null ? [] : [`settled ${settledAt}`]),
    ...(answer === '' ? [] : [answer]),
    ...(requestedBy === null ? [] : [`requested by ${requestedBy}`]),
    ...(reason === null ? [] : [`reason: ${reason}`]),
    ...(live === undefined ? [] : [`now: ${live === null ? 'not known' : LIVE_WORDS[live]}`]),
  ];
  return [head, ...lines.map((line) => `  ${line}`)].map(printable).join('\n');
}

function describeHaving(having: number, batches: number, where: string, name: string): string {
  const searched = count(batches, 'batch', 'batches');
  return having === 0
    ? `None of ${searched} in ${where} has the device ${name}.`
    : `${having} of ${searched} ${having === 1 ? 'has' : 'have'} the device ${name}.`;
}

/** What was searched, and what could not be. */
export function describeSearch({ found, batches, forgotten }: DeviceSearch, deviceSn: string, where: string): string {
  const name = JSON.stringify(printable(deviceSn));
  const having = new Set(found.map(({ batch }) => batch)).size;
  const lines = [batches === 0 ? `There is no batch in ${where}.` : describeHaving(having, batches, where, name)];
  if (forgotten > 0) {
    const were = forgotten === 1 ? 'batch was' : 'batches were';
    lines.push(`${count(forgotten, were, were)} forgotten and cannot be searched: search the reports that you kept.`);
  }
  return lines.join('\n');
}

export function describeLost({ notWhole }: DeviceSearch): string {
  return notWhole
    .map(({ batch, lost }) =>
      lost === 'items'
        ? `Redis has lost items of batch ${batch}, which may have had the device: search its manifest.`
        : `Batch ${batch} has the device, but Redis has lost its outcome: search the log of the workers.`,
    )
    .join('\n');
}
