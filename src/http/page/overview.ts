import { count, groupDigits } from '../../core/counting.ts';
import { activeBatches, batchPage, type BatchPage } from '../../app/batch-list.ts';
import { isAwaiting, type BatchDetail } from '../../app/overview.ts';
import { accountsOverview, type AccountsOverview } from '../../app/paces.ts';
import type { ScheduleLine } from '../../app/schedules.ts';
import { haltsNow, type AnyHalt } from '../../app/status.ts';
import type { Store } from '../../app/store.ts';
import { listWorkers, type WorkerSeen } from '../../app/workers.ts';
import { badge, bar, participle, linkTo, pacing, percent, purpose, submitter } from './batch-figures.ts';
import { markup, NOTHING, table, time, type Markup } from './markup.ts';
import { pausedBanners, schedulesOf, scheduleTable } from './schedules.ts';
import type { Content } from './shell.ts';

/** All that the overview shows. */
export interface Sight {
  readonly accounts: AccountsOverview['accounts'];
  readonly halts: readonly AnyHalt[];
  readonly batches: readonly BatchDetail[];
  readonly next: string | undefined;
  readonly workers: readonly WorkerSeen[];
  readonly schedules: readonly ScheduleLine[];
}

const SHOWN = 20;

/** @returns undefined where the cursor is none @throws Redis' errors */
export async function readOverview(
  store: Store,
  only: readonly string[] | undefined,
  cursor?: string,
): Promise<Sight | undefined> {
  const within = only === undefined ? {} : { accounts: only };
  const [{ accounts }, halts, active, page, workers, schedules] = await Promise.all([
    accountsOverview(store),
    haltsNow(store),
    cursor === undefined ? activeBatches(store, only) : [],
    batchPage(store, { limit: SHOWN, ...within, ...(cursor !== undefined && { cursor }) }),
    listWorkers(store),
    schedulesOf(store, only),
  ]);
  if (page === undefined) return undefined;
  const isMine = (account: string): boolean => only === undefined || only.includes(account);
  return {
    accounts: accounts.filter(({ account }) => isMine(account)),
    halts: halts.filter(({ account }) => isMine(account)),
    batches: joined(active, page),
    next: page.next,
    workers: workers.filter(({ accounts: of }) => of.length === 0 || of.some(isMine)),
    schedules,
  };
}

/** What has work comes first, however old. */
function joined(active: readonly BatchDetail[], { batches }: BatchPage): readonly BatchDetail[] {
  const busy = active.filter(({ pending, state }) => pending > 0 || state === 'paused');
  const known = new Set(busy.map(({ batch }) => batch));
  return [...busy, ...batches.filter(({ batch }) => !known.has(batch))];
}

export function overviewPage(basePath: string, sight: Sight, charts: Markup): Content {
  const { accounts, workers, batches, schedules } = sight;
  const pending = batches.reduce((sum, batch) => sum + batch.pending, 0);
  const dead = batches.reduce((sum, batch) => sum + batch.dead, 0);
  const used = accounts.reduce((sum, { usedQps }) => sum + (usedQps ?? 0), 0);
  const inForce = accounts.reduce((sum, { inForceQps }) => sum + inForceQps, 0);
  const tiles = [
    tile('Calls a second', groupDigits(Math.round(used)), `${groupDigits(Math.round(inForce))} in force`),
    tile('Pending', groupDigits(pending), count(batches.filter((one) => one.pending > 0).length, 'batch', 'batches')),
    tile('Dead', groupDigits(dead), 'in the batches below'),
    tile('Workers', groupDigits(workers.length), count(accounts.length, 'account')),
  ];
  const body = markup`<h1>Overview</h1>
<div id="trouble" data-live aria-live="polite">${troubles(basePath, sight)}</div>
<dl id="tiles" class="tiles" data-live>${tiles}</dl>
<section aria-labelledby="pace-head"><h2 id="pace-head">Rate against pace <small>calls a second, over the last hour</small></h2>${charts}</section>
<section aria-labelledby="batches-head"><h2 id="batches-head">Batches</h2><div id="batches" class="panel" data-live>${batchTable(basePath, sight)}</div></section>
${schedules.length > 0 && markup`<section aria-labelledby="schedules-head"><h2 id="schedules-head">Schedules</h2><div id="schedules" class="panel" data-live>${scheduleTable(schedules)}</div></section>`}
<section aria-labelledby="workers-head"><h2 id="workers-head">Workers</h2><div id="workers" class="panel" data-live>${workerTable(workers)}</div></section>`;
  return { title: 'Overview', section: '/', isLive: true, body };
}

function tile(name: string, value: string, beside: string): Markup {
  return markup`<div><dt>${name}</dt><dd>${value} <small>${beside}</small></dd></div>`;
}

function troubles(basePath: string, { halts, accounts, batches, schedules }: Sight): Markup {
  const unattended = accounts.filter(({ isAttended }) => !isAttended);
  const lowered = accounts.flatMap(({ account, lowered: to }) => (to === null ? [] : [{ account, ...to }]));
  const paused = batches.filter(({ pausedBecause }) => pausedBecause !== undefined);
  const all = [
    ...halts.map(haltBanner),
    ...batches.filter(isAwaiting).map((detail) => awaitingBanner(detail, linkTo(basePath, detail.batch))),
    ...paused.map(
      ({ batch, pausedBecause = '' }) =>
        markup`<p class="banner warning"><span><b>Batch ${linkTo(basePath, batch)} is paused.</b> ${pausedBecause}</span></p>`,
    ),
    ...(schedules.some(({ state }) => state === 'paused') ? [pausedBanners(schedules)] : []),
    ...unattended.map(
      ({ account }) =>
        markup`<p class="banner warning"><span><b>No worker runs for account ${account}.</b> Start certsweep worker.</span></p>`,
    ),
    ...lowered.map(
      ({ account, qps, untilMs }) =>
        markup`<p class="banner info"><span><b>The pace of account ${account} is lowered</b> to ${qps} calls a second until ${time(untilMs)}.</span></p>`,
    ),
  ];
  return markup`${all.length === 0 ? markup`<p class="banner calm">Nothing is halted, and nothing waits for anybody.</p>` : all}`;
}

/** Nothing of the batch runs, and nothing will unless somebody acts: as loud as a halt. @param which - names it */
export function awaitingBanner(detail: BatchDetail, which: Markup): Markup {
  const { awaitsApproval } = detail;
  if (awaitsApproval === undefined) return NOTHING;
  const { certificates } = awaitsApproval;
  return markup`<div class="banner warning"><h3>Batch ${which} awaits approval</h3><p>${count(certificates, 'certificate')} ${certificates === 1 ? 'is' : 'are'} to be ${participle(detail)}, submitted ${submitter(awaitsApproval)}. It runs once another token with the role approver approves it, within seven days.</p></div>`;
}

export function haltBanner(halt: AnyHalt): Markup {
  const where =
    'host' in halt
      ? `Account ${halt.account} is halted on host ${halt.host} alone (process ${halt.pid})`
      : halt.instanceId === undefined
        ? `Account ${halt.account} is halted`
        : `Instance ${halt.instanceId} of account ${halt.account} is halted`;
  return markup`<div class="banner halted"><h3>${where}</h3><p><code>${halt.code}</code>: ${halt.message}</p><p>Since ${time(halt.since)}. Its items wait, and nothing is lost. Fix the cause (certsweep doctor helps to find it): a probe then lifts the halt by itself.</p></div>`;
}

function batchTable(basePath: string, { batches, next }: Sight): Markup {
  if (batches.length === 0) return markup`<p class="empty">There is no batch. certsweep submit makes one.</p>`;
  const rows = table<BatchDetail>(
    'Batches',
    [
      {
        head: 'Batch',
        cell: ({ batch, requestedBy, reason }) =>
          markup`${linkTo(basePath, batch)}${(requestedBy ?? reason) !== undefined && markup`<small>${[requestedBy, reason].filter((word) => word !== undefined).join(': ')}</small>`}`,
      },
      {
        head: 'State',
        cell: (detail) => markup`${badge(detail)}${purpose(detail)}`,
      },
      {
        head: 'Settled',
        cell: (detail) =>
          markup`<span class="progress">${bar(detail)}<span>${percent(detail)} <small>of ${groupDigits(detail.accepted || (detail.awaitsApproval?.certificates ?? 0))}</small></span></span>`,
      },
      {
        head: 'Dead',
        isNumber: true,
        cell: ({ batch, dead }) =>
          dead === 0
            ? '0'
            : markup`<a href="${basePath}/dead?batch=${encodeURIComponent(batch)}" aria-label="${dead} dead letters of batch ${batch}">${groupDigits(dead)}</a>`,
      },
      { head: 'Rate and end', isNumber: true, cell: pacing },
    ],
    batches,
  );
  const older =
    next !== undefined &&
    markup`<p class="more"><a href="${basePath}/?cursor=${encodeURIComponent(next)}">Older batches</a></p>`;
  return markup`${rows}${older}`;
}

function workerTable(workers: readonly WorkerSeen[]): Markup {
  if (workers.length === 0) return markup`<p class="empty">No worker runs. certsweep worker starts one.</p>`;
  return table<WorkerSeen>(
    'Workers',
    [
      { head: 'Host', cell: ({ host }) => host },
      { head: 'Process', isNumber: true, cell: ({ pid }) => String(pid) },
      { head: 'Accounts', cell: ({ accounts }) => accounts.join(', ') },
      { head: 'Halted for itself', cell: ({ halts }) => halts.map(({ account }) => account).join(', ') || 'nothing' },
    ],
    workers,
  );
}
