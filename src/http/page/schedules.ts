import { ownerIn } from '../../app/accounts.ts';
import { listSchedules, scheduleHistory, type OccurrenceEnd, type ScheduleLine } from '../../app/schedules.ts';
import type { Store } from '../../app/store.ts';
import { markup, NOTHING, table, time, type Markup } from './markup.ts';
import { linkTo } from './batch-figures.ts';
import type { Content } from './shell.ts';

/** A schedule, with how its last runs ended, the last one first. */
export interface ScheduleSight extends ScheduleLine {
  readonly ends: readonly OccurrenceEnd[];
}

/** Runs that are shown of each. */
const RUNS = 10;

/** @param only - schedules that touch nothing but these accounts @throws Redis' errors */
export async function schedulesOf(store: Store, only: readonly string[] | undefined): Promise<readonly ScheduleLine[]> {
  const { schedules } = store.config;
  // Most have none, and nobody needs to ask Redis for the time then.
  if (schedules.length === 0) return [];
  const ownerOf = ownerIn(store.config);
  const shown = schedules
    .filter(
      ({ instances }) =>
        only === undefined || instances.every((instanceId) => only.includes(ownerOf(instanceId) ?? '')),
    )
    .map(({ name }) => name);
  return (await listSchedules(store)).filter(({ schedule }) => shown.includes(schedule));
}

/** The schedules, each with its last runs. */
export async function scheduleSights(
  store: Store,
  only: readonly string[] | undefined,
): Promise<readonly ScheduleSight[]> {
  const lines = await schedulesOf(store, only);
  return Promise.all(
    lines.map(async (line) => ({ ...line, ends: (await scheduleHistory(store, line.schedule)).slice(0, RUNS) })),
  );
}

export function schedulesPageOf(basePath: string, sights: readonly ScheduleSight[]): Content {
  const runs = sights.map(({ schedule, ends }) => {
    const rows =
      ends.length === 0 ? markup`<p class="empty">It has not run yet.</p>` : runTable(basePath, schedule, ends);
    return markup`<section aria-labelledby="runs-${schedule}"><h2 id="runs-${schedule}">${schedule} <small>its last runs</small></h2><div class="panel">${rows}</div></section>`;
  });
  const body = markup`<h1>Schedules</h1>
<div id="schedules" data-live>${pausedBanners(sights)}<div class="panel">${scheduleTable(sights)}</div></div>
<div id="runs" class="apart" data-live>${runs}</div>
<p class="faint">certsweep schedule pauses, resumes and runs them.</p>`;
  return { title: 'Schedules', section: '/schedules', isLive: true, body };
}

/** One that is paused does nothing at its times: somebody should know. */
export function pausedBanners(lines: readonly ScheduleLine[]): Markup {
  return markup`${lines.map(
    ({ schedule, state, reason }) =>
      state === 'paused' &&
      markup`<p class="banner warning"><span><b>Schedule ${schedule} is paused.</b> ${reason ?? ''}</span></p>`,
  )}`;
}

export function scheduleTable(lines: readonly ScheduleLine[]): Markup {
  if (lines.length === 0) return markup`<p class="empty">The configuration has no schedule.</p>`;
  return table<ScheduleLine>(
    'Schedules',
    [
      { head: 'Schedule', cell: ({ schedule }) => schedule },
      {
        head: 'State',
        cell: ({ state }) => markup`<span class="badge ${state === 'paused' ? 'paused' : 'running'}">${state}</span>`,
      },
      { head: 'Next', cell: ({ next, state }) => (state === 'paused' ? '–' : time(next)) },
      { head: 'Rule', cell: ({ cron, timezone }) => markup`<code>${cron}</code><small>${timezone}</small>` },
    ],
    lines,
  );
}

function runTable(basePath: string, schedule: string, ends: readonly OccurrenceEnd[]): Markup {
  return table<OccurrenceEnd>(
    `Runs of ${schedule}`,
    [
      { head: 'Run', cell: ({ occurrence }) => occurrence },
      {
        head: 'End',
        cell: ({ state, isStopped }) =>
          markup`<span class="badge ${state === 'failed' ? 'dead' : isStopped === true ? 'paused' : state === 'activated' ? 'completed' : 'cancelled'}">${state}</span>`,
      },
      { head: 'Batch', cell: ({ batch }) => (batch === null ? '–' : linkTo(basePath, batch)) },
      { head: 'Why', cell: ({ reason }) => (reason === '' ? NOTHING : reason) },
      { head: 'When', cell: ({ at }) => time(at) },
    ],
    ends,
  );
}
