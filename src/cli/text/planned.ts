import { count, duration, groupDigits } from '../../core/counting.ts';
import { estimate } from '../../app/estimate.ts';
import type { CaShare, PlanEnd, PlanObstacle, PlanReport } from '../../app/plan.ts';
import type { PlanFault } from '../../app/submit-plan.ts';
import type { Config } from '../../runtime/config/config.ts';
import { printable } from '../../core/printable.ts';
import { describeStop } from './cloud.ts';

/** How many CAs, warnings and obstacles are shown. */
const MOST_SHOWN = 20;

/** What a plan would do, for a person. */
export function describePlan(report: PlanReport, config: Config): string {
  const { certificates, cas, warnings, instances, notFound, ambiguous } = report;
  const parts: string[] = [];
  if (cas.length > 0) parts.push(sharesOf(cas, report, config));
  if (certificates > 0) {
    const { seconds, qps } = estimate({ accepted: certificates, instances }, config);
    parts.push(
      `${count(certificates, 'certificate')} to ${report.action}: at least ${count(report.calls, 'call')}, about ${duration(seconds)} at ${qps} a second.`,
    );
  }
  parts.push(...some(warnings).map((warning) => `Note: ${warning}`));
  if (notFound.length > 0) parts.push(`Not found: ${some(notFound).join('; ')}.`);
  if (ambiguous.length > 0)
    parts.push(`Found by its number only, which may mean several certificates: ${some(ambiguous).join('; ')}.`);
  return parts.join('\n\n');
}

/** Two lines for each CA: a table with long serial numbers is wider than a terminal. */
function sharesOf(cas: readonly CaShare[], { instances }: PlanReport, config: Config): string {
  const blocks = cas.slice(0, MOST_SHOWN).map(({ instanceId, caSn, status, classes, covered, surviving }) => {
    const account = instances.find((one) => one.instanceId === instanceId)?.account ?? '';
    const share = { accepted: covered, instances: [{ account, instanceId, items: covered }] };
    const time = covered === 0 ? '' : `, ${duration(estimate(share, config).seconds)}`;
    const { active, inactive, absent, otherCa } = classes;
    const found = `${groupDigits(active)} active, ${groupDigits(inactive)} inactive, ${groupDigits(absent)} absent`;
    const elsewhere = otherCa === 0 ? '' : `, ${groupDigits(otherCa)} under another CA`;
    const left = `${groupDigits(surviving)} survive${surviving === 1 ? 's' : ''}`;
    return `CA ${printable(caSn)} of ${instanceId} is ${status}\n  ${found}${elsewhere}; ${count(covered, 'call')}${time}; ${left}`;
  });
  const rest = cas.length - blocks.length;
  return [...blocks, ...(rest > 0 ? [`and ${count(rest, 'more CA')}`] : [])].join('\n');
}

function some(texts: readonly string[]): string[] {
  const rest = texts.length - MOST_SHOWN;
  return rest > 0 ? [...texts.slice(0, MOST_SHOWN), `and ${groupDigits(rest)} more`] : [...texts];
}

/** Why there is no plan. */
export function describeObstacles(obstacles: readonly PlanObstacle[]): string {
  return [...some(obstacles.map(describeObstacle)), 'No plan was written.'].join('\n');
}

function describeObstacle(obstacle: PlanObstacle): string {
  switch (obstacle.kind) {
    case 'empty':
      return 'There is nothing to plan: none of the certificates is registered as given.';
    case 'too-many': {
      const { certificates, maxItems } = obstacle;
      return `The plan has ${count(certificates, 'certificate')}, more than --max-items ${maxItems}: select fewer, or raise it.`;
    }
    case 'too-much-of-ca': {
      const { ca, maxShareOfCa } = obstacle;
      const { caSn, covered, surviving } = ca;
      return `The plan covers ${groupDigits(covered)} of the ${count(covered + surviving, 'certificate')} of CA ${caSn}, more than --max-share-of-ca ${maxShareOfCa}: select fewer, or raise it.`;
    }
  }
}

/** Why the inventory of a plan was not taken, and what to do. */
export function describeStopped(end: Extract<PlanEnd, { kind: 'refused' | 'halted' | 'closed' | 'no-key' }>): string {
  switch (end.kind) {
    case 'closed':
      return 'Interrupted. No plan was written.';
    case 'no-key':
      return `${end.variable} is not set: account ${end.account} needs it for its key.`;
    case 'halted':
    case 'refused':
      return describeStop(end, end.account, {
        what: 'listing',
        grant: 'mq:ListDeviceCertificate and mq:ListCaCertificate, and for --ca mq:ListDeviceCertificateByCaSn',
        next: 'plan again',
      });
  }
}

/** Why a plan file is not taken, and what to do. */
export function describeFault(path: string, fault: PlanFault): string {
  const again = 'Nothing was touched. Make another plan with certsweep plan.';
  switch (fault.kind) {
    case 'unreadable':
      return `${path} cannot be read (${fault.why}): check the path. Nothing was touched.`;
    case 'no-plan':
      return `${path} is not a plan of this version: ${fault.why}. ${again}`;
    case 'edited':
      return `${path} was edited: ${fault.why}. ${again}`;
    case 'other-account':
      return `${path} was planned for account ${fault.account}, which the configuration does not have, or with another endpoint. Use the configuration that it was planned with. Nothing was touched.`;
    case 'other-instance':
      return `${path} was planned for instance ${fault.instanceId} of account ${fault.account}, which the configuration does not have. Use the configuration that it was planned with. Nothing was touched.`;
    case 'used':
      return `${path} was used for batch ${fault.batch}: a plan can be used once. ${again}`;
    case 'stale':
      return `${path} is ${fault.ageMs < 0 ? 'from the future' : `${duration(fault.ageMs / 1_000)} old`}: a plan is valid for 24 hours. ${again}`;
  }
}
