import { count, duration, groupDigits } from '../../core/counting.ts';
import { estimate } from '../../app/estimate.ts';
import { DEFAULT_ACTION, type Action } from '../../core/action.ts';
import type { ManifestSummary } from '../../app/submit.ts';
import type { Config } from '../../runtime/config/config.ts';
import { describeRedisError } from '../../runtime/redis/describe-error.ts';
import { printable } from '../../core/printable.ts';
import { table } from './terminal.ts';

/** Rejected rows shown; the rest is counted. */
const SHOWN = 20;

/** The plan of a manifest, for a person: what is in it, what it costs, what is wrong with it. */
export function describeSummary(summary: ManifestSummary, config: Config, action: Action = DEFAULT_ACTION): string {
  const { accepted, duplicates, rejected, instances } = summary;
  const parts = [
    `${count(accepted, 'certificate')} accepted${action === DEFAULT_ACTION ? '' : ` to ${action}`}, ${count(duplicates, 'duplicate')} (each done once), ${groupDigits(rejected)} rejected.`,
  ];
  if (instances.some(({ items }) => items > 0)) {
    parts.push(
      table(
        ['account', 'instance', 'certificates'],
        instances.map((i) => [i.account, i.instanceId, i.items]),
      ),
    );
  }
  if (accepted > 0) parts.push(describeCost(summary, config));
  if (rejected > 0) parts.push(describeRejections(summary));
  return parts.join('\n\n');
}

/** For a plan that Redis did not answer for. */
export function describeUnknown(batch: string, error: unknown): string {
  return [
    `Redis did not answer whether batch ${batch} runs: ${describeRedisError(error)}`,
    `It may run, now or when Redis is back. certsweep status ${batch} shows whether it does, certsweep cancel ${batch} ends it. To run it, submit the manifest again: if it already runs, nothing is added.`,
  ].join('\n');
}

/** Calls, and time at the pace that is configured. */
function describeCost(summary: ManifestSummary, config: Config): string {
  const { seconds, qps, bound } = estimate(summary, config);
  const pacer = bound === 'egress' ? `egress ${config.egress.id}` : 'the account';
  return `At least ${count(summary.accepted, 'call')}: about ${duration(seconds)} at ${qps} a second, the pace of ${pacer}.`;
}

function describeRejections({ rejections, rejected }: ManifestSummary): string {
  const lines = rejections.slice(0, SHOWN).map(({ line, reason }) => `  line ${line}: ${printable(reason)}`);
  const more = rejected - lines.length;
  return ['Rejected:', ...lines, ...(more > 0 ? [`  and ${count(more, 'more row')}`] : [])].join('\n');
}
