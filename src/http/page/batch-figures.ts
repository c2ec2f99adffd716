import type { AwaitedApproval, BatchDetail } from '../../app/overview.ts';
import { duration, markup, number, time, type Markup } from './markup.ts';

/** The parts of a batch that have an outcome, in the order in which a bar shows them. */
const PARTS = [
  { field: 'revoked', name: 'revoked' },
  { field: 'alreadyGone', name: 'already gone' },
  { field: 'dead', name: 'dead' },
  { field: 'cancelled', name: 'cancelled' },
] as const;

const BAR = 1_000;

/** What a batch is, in a word and a colour. */
export function badge({ state, awaitsApproval }: Pick<BatchDetail, 'state' | 'awaitsApproval'>): Markup {
  const isAwaiting = awaitsApproval !== undefined && state === 'planned';
  return markup`<span class="badge ${isAwaiting ? 'awaits' : state}">${isAwaiting ? 'awaits approval' : state}</span>`;
}

/** How much of it is settled, and how. */
export function bar(detail: BatchDetail): Markup {
  const { accepted } = detail;
  let x = 0;
  const parts = PARTS.map(({ field }) => {
    const width = accepted === 0 ? 0 : (detail[field] / accepted) * BAR;
    const from = x;
    x += width;
    return width > 0 && markup`<rect class="${field}" x="${from}" y="0" width="${width}" height="10"/>`;
  });
  const told = PARTS.map(({ field, name }) => `${number(detail[field])} ${name}`).join(', ');
  return markup`<svg class="bar" viewBox="0 0 ${BAR} 10" preserveAspectRatio="none" role="img" aria-label="${percent(detail)} settled: ${told}, ${number(detail.pending)} pending">${parts}</svg>`;
}

export function percent({ accepted, pending }: Pick<BatchDetail, 'accepted' | 'pending'>): string {
  // Never 100% while something is pending.
  return accepted === 0 ? '0%' : `${Math.floor(((accepted - pending) / accepted) * 1_000) / 10}%`;
}

/** The counts, with their colours. */
export function legend(detail: BatchDetail): Markup {
  const shown = [...PARTS, { field: 'pending', name: 'pending' } as const];
  return markup`<dl class="figures">${shown.map(
    ({ field, name }) =>
      markup`<div class="${field}"><dt>${name}</dt><dd>${number(detail[field])}${field === 'revoked' && detail.confirmedByAbsence > 0 && markup` <small>${number(detail.confirmedByAbsence)} by absence</small>`}</dd></div>`,
  )}</dl>`;
}

/** How fast it goes, and when it is done. */
export function pacing({ state, pending, ratePerSecond, etaSeconds, completedAt }: BatchDetail): Markup {
  if (completedAt !== undefined) return markup`done ${time(completedAt)}`;
  if (state !== 'running' || pending === 0) return markup`<span class="faint">–</span>`;
  if (etaSeconds === null) return markup`nothing moves`;
  return markup`${number(Math.round(ratePerSecond))}/s, ${duration(etaSeconds)} left`;
}

/** Who wants an approval; `submittedBy` is empty for who used no token. */
export function submitter({ submittedBy }: AwaitedApproval): string {
  return submittedBy === null ? 'without a token' : `by ${submittedBy}`;
}
