import { duration, groupDigits } from '../../core/counting.ts';
import { isAwaiting, type AwaitedApproval, type BatchDetail } from '../../app/overview.ts';
import { DONE_OUTCOMES, outcomesOfAction, type Action } from '../../core/action.ts';
import { COUNT_FIELD, type Outcome } from '../../core/batch.ts';
import { PHASES } from '../../core/retirement.ts';
import { describeTimeSpan } from '../../core/time-span.ts';
import { markup, NOTHING, time, type Markup } from './markup.ts';

/** What an outcome is, whatever the batch does: each has a colour. */
export const OUTCOME_KINDS = ['done', 'already', 'dead', 'cancelled'] as const;
export type OutcomeKind = (typeof OUTCOME_KINDS)[number];

const WORDS: Readonly<Record<Action, string>> = {
  delete: 'deleted',
  inactivate: 'inactivated',
  activate: 'activated',
  retire: 'retired',
};

const BAR = 1_000;

/** What a batch is, in a word and a colour. */
export function badge(detail: Pick<BatchDetail, 'state' | 'awaitsApproval'>): Markup {
  const { state } = detail;
  const awaits = isAwaiting(detail);
  return markup`<span class="badge ${awaits ? 'awaits' : state}">${awaits ? 'awaits approval' : state}</span>`;
}

/** What becomes of its certificates where that is more than to be deleted, in a word or two. */
export function purpose(detail: BatchDetail): Markup {
  const { action, phase } = detail;
  if (action === 'delete') return NOTHING;
  return markup`<small>to be ${participle(detail)}${phase !== undefined && `: ${phase}`}</small>`;
}

/** Of a batch that retires, while it is at work: where it stands. */
export function phases({ phase, soakUntil }: BatchDetail): Markup {
  if (phase === undefined) return NOTHING;
  const now = PHASES.indexOf(phase);
  const steps = PHASES.map((step, at) => {
    const until = step === phase && soakUntil !== undefined && markup` until ${time(soakUntil)}`;
    const told = at < now && markup`<span class="unseen"> (done)</span>`;
    return markup`<li${at < now && markup` class="past"`}${at === now && markup` aria-current="step"`}>${step}${until}${told}</li>`;
  });
  return markup`<ol class="phases" aria-label="Phases">${steps}</ol>`;
}

/** How it retires its certificates; of another action the action's name. */
export function manner({ action, retire }: BatchDetail): string {
  if (retire === undefined) return action;
  const { soakMs, deviceDestroyed } = retire;
  return `${action}: soak ${describeTimeSpan(soakMs)}${deviceDestroyed ? ', then deleted also while their CA is active' : ''}`;
}

/** How much of it is settled, and how. */
export function bar(detail: BatchDetail): Markup {
  const { accepted } = detail;
  let x = 0;
  const ends = endsOf(detail);
  const parts = ends.map(({ kind, items }) => {
    const width = accepted === 0 ? 0 : (items / accepted) * BAR;
    const from = x;
    x += width;
    return width > 0 && markup`<rect class="${kind}" x="${from}" y="0" width="${width}" height="10"/>`;
  });
  const told = ends.map(({ name, items }) => `${groupDigits(items)} ${name}`).join(', ');
  return markup`<svg class="bar" viewBox="0 0 ${BAR} 10" preserveAspectRatio="none" role="img" aria-label="${percent(detail)} settled: ${told}, ${groupDigits(detail.pending)} pending">${parts}</svg>`;
}

export function percent({ accepted, pending }: Pick<BatchDetail, 'accepted' | 'pending'>): string {
  // Never 100% while something is pending.
  return accepted === 0 ? '0%' : `${Math.floor(((accepted - pending) / accepted) * 1_000) / 10}%`;
}

/** The counts, with their colours. */
export function legend(detail: BatchDetail): Markup {
  const { confirmedByAbsence, pending } = detail;
  const shown = [...endsOf(detail), { kind: 'pending', name: 'pending', items: pending } as const];
  return markup`<dl class="figures">${shown.map(({ kind, name, items }) => {
    const beside =
      kind === 'done' &&
      confirmedByAbsence > 0 &&
      markup` <small>${groupDigits(confirmedByAbsence)} by absence</small>`;
    return markup`<div class="${kind}"><dt>${name}</dt><dd>${groupDigits(items)}${beside}</dd></div>`;
  })}</dl>`;
}

/** An outcome in a word and a colour; of what is pending the word is that. */
export function outcomeBadge(outcome: Outcome | null): Markup {
  if (outcome === null) return markup`<span class="badge running">pending</span>`;
  return markup`<span class="badge ${kindOf(outcome)}">${nameOf(outcome)}</span>`;
}

export function nameOf(outcome: Outcome): string {
  return outcome.replaceAll('-', ' ');
}

export function kindOf(outcome: Outcome): OutcomeKind {
  if (outcome === 'dead' || outcome === 'cancelled') return outcome;
  return DONE_OUTCOMES.includes(outcome) ? 'done' : 'already';
}

function endsOf(
  detail: BatchDetail,
): readonly { readonly kind: OutcomeKind; readonly name: string; readonly items: number }[] {
  return outcomesOfAction(detail.action).map((outcome) => {
    return { kind: kindOf(outcome), name: nameOf(outcome), items: detail[COUNT_FIELD[outcome]] ?? 0 };
  });
}

/** What becomes of its certificates. */
export function participle({ action }: Pick<BatchDetail, 'action'>): string {
  return WORDS[action];
}

/** How fast it goes, and when it is done. */
export function pacing({ state, soakUntil, pending, ratePerSecond, etaSeconds, completedAt }: BatchDetail): Markup {
  if (completedAt !== undefined) return markup`done ${time(completedAt)}`;
  if (state !== 'running' || pending === 0) return markup`<span class="faint">–</span>`;
  if (soakUntil !== undefined) return markup`waits until ${time(soakUntil)}`;
  if (etaSeconds === null) return markup`nothing moves`;
  return markup`${groupDigits(Math.round(ratePerSecond))}/s, ${duration(etaSeconds)} left`;
}

/** Who wants an approval; `submittedBy` is empty for a caller without a token. */
export function submitter({ submittedBy }: AwaitedApproval): string {
  return submittedBy === null ? 'without a token' : `by ${submittedBy}`;
}

/** To the page of a batch. */
export function linkTo(basePath: string, batch: string): Markup {
  return markup`<a class="id" href="${basePath}/batches/${encodeURIComponent(batch)}">${batch}</a>`;
}
