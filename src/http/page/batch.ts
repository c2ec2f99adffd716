import { groupDigits } from '../../core/counting.ts';
import type { Identity } from '../../app/identity.ts';
import type { OutcomeHistory } from '../../app/outcome-history.ts';
import { isAwaiting, type BatchDetail } from '../../app/overview.ts';
import type { BatchSnapshot } from '../../app/status.ts';
import { transition } from '../../core/batch.ts';
import { mayDo } from '../../core/role.ts';
import { dialog, opener } from './actions.ts';
import {
  badge,
  bar,
  participle,
  legend,
  manner,
  outcomeBadge,
  pacing,
  percent,
  phases,
  submitter,
} from './batch-figures.ts';
import { outcomeFigure } from './charts.ts';
import { markup, NOTHING, table, time, type Markup, type Shown } from './markup.ts';
import { awaitingBanner, haltBanner } from './overview.ts';
import { mayControl, type Content, type Frame } from './shell.ts';

const CHANGES = [
  { change: 'pause', label: 'Pause', kind: 'plain' },
  { change: 'resume', label: 'Resume', kind: 'plain' },
  { change: 'cancel', label: 'Cancel', kind: 'danger' },
] as const;

/** A batch: how far it is, how it went, who wanted it and why, and what can be done with it. */
export function batchPageOf(frame: Frame, snapshot: BatchSnapshot, history: OutcomeHistory): Content {
  const { basePath } = frame;
  const { detail } = snapshot;
  const { batch } = detail;
  const body = markup`<div class="head"><h1><small>Batch</small> ${batch}</h1><div id="controls" class="controls" data-live>${controls(frame, detail)}</div></div>
<div id="trouble" data-live aria-live="polite">${troubles(snapshot)}</div>
<section id="progress" class="panel stack" data-live aria-label="Progress"><p class="line">${badge(detail)}<b>${percent(detail)}</b> settled of ${groupDigits(detail.accepted || (detail.awaitsApproval?.certificates ?? 0))}<span class="push">${pacing(detail)}</span></p>${phases(detail)}${bar(detail)}${legend(detail)}</section>
<div class="columns"><section aria-labelledby="over-time"><h2 id="over-time">Outcomes over time <small>a second</small></h2>${outcomeFigure(detail.action, `${basePath}/charts/batches/${encodeURIComponent(batch)}`)}</section>
<section aria-labelledby="about"><h2 id="about">Who and why</h2><div id="facts" class="panel" data-live>${facts(basePath, detail)}</div></section></div>
<section aria-labelledby="codes-head"><h2 id="codes-head">Codes</h2><div id="codes" class="panel" data-live>${codes(basePath, batch, history)}</div></section>
<p class="more"><a href="${basePath}/v1/batches/${encodeURIComponent(batch)}/report" download>Download the report (CSV)</a><a href="${basePath}/audit?batch=${encodeURIComponent(batch)}">Its audit record</a></p>`;
  return { title: `Batch ${batch}`, isLive: true, body, dialogs: dialogs(frame, detail) };
}

function controls(frame: Frame, detail: BatchDetail): Shown {
  const { state } = detail;
  const changes = mayControl(frame)
    ? CHANGES.filter(({ change }) => transition(state, change) !== undefined).map(({ change, label, kind }) =>
        opener(change, label, kind),
      )
    : [];
  return [...(mayApprove(frame, detail) ? [opener('approve', 'Approve', 'plain')] : []), ...changes];
}

function mayApprove({ who }: Frame, detail: BatchDetail): boolean {
  return who !== undefined && mayDo(who.role, 'approve') && isForOthers(who, detail);
}

/** The button is not offered for one's own batch; the rule itself is the server's. */
function isForOthers({ name }: Identity, detail: BatchDetail): boolean {
  return isAwaiting(detail) && detail.awaitsApproval?.submittedBy !== name;
}

function dialogs(frame: Frame, detail: BatchDetail): readonly Markup[] {
  const { basePath, needsReason } = frame;
  const { batch, awaitsApproval } = detail;
  const path = `${basePath}/v1/batches/${encodeURIComponent(batch)}`;
  const reason = needsReason ? 'required' : 'optional';
  const approval =
    awaitsApproval !== undefined && mayApprove(frame, detail)
      ? [
          dialog({
            id: 'approve',
            title: `Approve ${groupDigits(awaitsApproval.certificates)} certificates?`,
            explain: markup`Submitted ${submitter(awaitsApproval)}. ${becomes(detail)} Compare the manifest’s SHA-256 with what you have checked: <code class="hash">${awaitsApproval.manifest}</code>`,
            path: `${path}/approve`,
            button: 'Approve',
            isDanger: true,
            reason,
            fixed: { manifest: awaitsApproval.manifest, action: detail.action },
            done: 'The batch is approved and runs.',
          }),
        ]
      : [];
  if (!mayControl(frame)) return approval;
  return [
    ...approval,
    dialog({
      id: 'pause',
      title: 'Pause this batch?',
      explain: markup`No further call of it is made until it is resumed. Calls that have left are followed to their end.`,
      path: `${path}/pause`,
      button: 'Pause',
      isDanger: false,
      reason: 'optional',
      done: 'The batch is paused.',
    }),
    dialog({
      id: 'resume',
      title: 'Resume this batch?',
      explain: markup`${groupDigits(detail.pending)} certificates were pending when this page was opened. It continues at full pace, without a ramp.`,
      path: `${path}/resume`,
      button: 'Resume',
      isDanger: false,
      reason,
      done: 'The batch continues.',
    }),
    dialog({
      id: 'cancel',
      title: 'Cancel this batch for good?',
      explain: markup`What is left of it is given up, and cannot be continued. What was done stays done.`,
      path: `${path}/cancel`,
      button: 'Cancel the batch',
      isDanger: true,
      reason,
      done: 'The batch is cancelled.',
    }),
  ];
}

/** What an approval lets happen. */
function becomes(detail: BatchDetail): string {
  return detail.retire === undefined
    ? `They are ${participle(detail)} at once.`
    : `They are made inactive at once (${manner(detail)}).`;
}

function troubles({ detail, halts, unattended, lowered, lanesLost }: BatchSnapshot): Markup {
  const { state, pausedBecause } = detail;
  return markup`${halts.map(haltBanner)}${isAwaiting(detail) && awaitingBanner(detail, markup`${detail.batch}`)}
${state === 'paused' && markup`<p class="banner warning"><span><b>It is paused.</b> ${pausedBecause ?? 'An operator did it: the audit record has who, and why.'}</span></p>`}
${unattended.map((account) => markup`<p class="banner warning"><span><b>No worker runs for account ${account}.</b> Start certsweep worker.</span></p>`)}
${lanesLost && markup`<p class="banner warning">Redis has lost which instances it holds: a worker is reading its chunks.</p>`}
${lowered.map(({ account, qps, untilMs }) => markup`<p class="banner info"><span><b>The pace of account ${account} is lowered</b> to ${qps} calls a second until ${time(untilMs)}.</span></p>`)}`;
}

function facts(basePath: string, detail: BatchDetail): Markup {
  const { submittedAt, completedAt, requestedBy, reason, manifestSha256, priority, dead, batch, forgotten } = detail;
  const rows: readonly (readonly [string, Shown])[] = [
    ['Requested by', requestedBy ?? 'nobody said'],
    ['Reason', reason ?? 'nobody said'],
    ['Submitted', time(submittedAt)],
    ['Completed', completedAt === undefined ? undefined : time(completedAt)],
    ['Action', manner(detail)],
    ['Priority', priority],
    ['Forgotten', forgotten === 0 ? undefined : groupDigits(forgotten)],
    [
      'Dead letters',
      dead === 0
        ? undefined
        : markup`<a href="${basePath}/dead?batch=${encodeURIComponent(batch)}">Show ${groupDigits(dead)}</a>`,
    ],
    ['Manifest', manifestSha256 === undefined ? undefined : markup`<code class="hash">${manifestSha256}</code>`],
  ];
  return markup`<dl class="facts">${rows.map(([name, value]) => value !== undefined && markup`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

function codes(basePath: string, batch: string, { codes: found, isWhole }: OutcomeHistory): Markup {
  const note = isWhole ? NOTHING : markup`<p class="empty">The ledger is still being read: the figures grow.</p>`;
  if (found.length === 0) return markup`${note}<p class="empty">Nothing is settled yet.</p>`;
  const rows = table(
    'Codes',
    [
      { head: 'Outcome', cell: ({ outcome }) => outcomeBadge(outcome) },
      {
        head: 'Code',
        cell: ({ outcome, code }) => {
          if (code === '') return markup`<span class="faint">no call</span>`;
          if (outcome !== 'dead') return markup`<code>${code}</code>`;
          const query = new URLSearchParams({ batch, code });
          return markup`<a href="${basePath}/dead?${query.toString()}"><code>${code}</code></a>`;
        },
      },
      { head: 'Items', isNumber: true, cell: ({ items }) => groupDigits(items) },
    ],
    found,
  );
  return markup`${note}${rows}`;
}
