import { count, groupDigits } from '../../core/counting.ts';
import type { DeadGroup, DeadGroups } from '../../app/dead-groups.ts';
import type { DeadLetterOf } from '../../app/dead-letters.ts';
import { dialog, opener } from './actions.ts';
import { markup, NOTHING, table, time, type Markup } from './markup.ts';
import { linkTo } from './batch-figures.ts';
import { mayControl, type Content, type Frame } from './shell.ts';

/** What narrows the list; it stands in the address of the page, and so outlives every action. */
export interface LetterFilter {
  readonly batch?: string;
  readonly code?: string;
  readonly instanceId?: string;
}

const FIELDS = [
  { name: 'batch', label: 'Batch' },
  { name: 'code', label: 'Code' },
  { name: 'instanceId', label: 'Instance' },
] as const;

/** Letters that are shown one by one. */
export const LETTERS_SHOWN = 20;

/** Dead letters by code. */
export function deadPageOf(frame: Frame, filter: LetterFilter, found: DeadGroups): Content {
  const { basePath } = frame;
  const { groups, letters, isWhole } = found;
  const isFiltered = Object.keys(filter).length > 0;
  const mayAct = mayControl(frame) && (frame.who?.accounts === undefined || filter.batch !== undefined);
  const more = isWhole ? '' : 'at least ';
  const body = markup`<div class="head"><h1>Dead letters</h1><div id="controls" class="controls" data-live>${mayAct && letters > 0 && [opener('retry', 'Retry these', 'plain'), opener('discard', 'Discard these', 'danger')]}</div></div>
<form class="filter panel" method="get" action="${basePath}/dead" role="search" aria-label="Filter">
${FIELDS.map(({ name, label }) => markup`<label>${label}<input name="${name}" value="${filter[name] ?? ''}" autocomplete="off" spellcheck="false"></label>`)}
<button class="primary">Filter</button>${isFiltered && markup`<a href="${basePath}/dead">Show all</a>`}
</form>
<section aria-labelledby="groups-head"><h2 id="groups-head">By code <small id="groups-count" data-live>${more}${count(letters, 'letter')}</small></h2><div id="groups" class="panel" data-live>${groupTable(basePath, filter, groups)}</div></section>
<section aria-labelledby="letters-head"><h2 id="letters-head">The latest <small>at most ${LETTERS_SHOWN}</small></h2><div id="letters" class="panel" data-live>${letterTable(basePath, found.some)}</div></section>`;
  return { title: 'Dead letters', section: '/dead', body, dialogs: mayAct ? dialogs(frame, filter) : [] };
}

function dialogs({ basePath, needsReason }: Frame, filter: LetterFilter): readonly Markup[] {
  const words = FIELDS.flatMap(({ name, label }) =>
    filter[name] === undefined ? [] : [`${label.toLowerCase()} ${filter[name]}`],
  );
  const which = words.length === 0 ? 'every dead letter of every batch' : `dead letters of ${words.join(', ')}`;
  const fixed = words.length === 0 ? { all: true } : { ...filter };
  const reason = needsReason ? 'required' : 'optional';
  return [
    dialog({
      id: 'retry',
      title: 'Retry dead letters?',
      explain: markup`This tries ${which} again, at once. There is no way back.`,
      path: `${basePath}/v1/dead/retry`,
      button: 'Retry',
      isDanger: true,
      reason,
      fixed,
      counts: true,
      done: '{letters} dead letters will be tried again.',
    }),
    dialog({
      id: 'discard',
      title: 'Discard dead letters for good?',
      explain: markup`This discards ${which}. Their items stay counted as dead, and stay in the report; they cannot be retried any more.`,
      path: `${basePath}/v1/dead/discard`,
      button: 'Discard',
      isDanger: true,
      reason,
      fixed,
      counts: true,
      done: '{letters} dead letters are discarded.',
    }),
  ];
}

function groupTable(basePath: string, filter: LetterFilter, groups: readonly DeadGroup[]): Markup {
  if (groups.length === 0) return markup`<p class="empty">No dead letter matches.</p>`;
  return table<DeadGroup>(
    'Dead letters by code',
    [
      {
        head: 'Code',
        cell: ({ code }) => {
          const query = new URLSearchParams({ ...filter, code });
          return markup`<a id="code-${code}" href="${basePath}/dead?${query.toString()}"><code>${code}</code></a>`;
        },
      },
      { head: 'Letters', isNumber: true, cell: ({ letters }) => groupDigits(letters) },
      { head: 'Batches', isNumber: true, cell: ({ batches }) => groupDigits(batches) },
      { head: 'Instances', isNumber: true, cell: ({ instances }) => groupDigits(instances) },
      { head: 'Last', cell: ({ lastAt, message }) => markup`${time(lastAt)}<small>${message}</small>` },
    ],
    groups,
  );
}

function letterTable(basePath: string, letters: readonly DeadLetterOf[]): Markup {
  if (letters.length === 0) return markup`<p class="empty">None.</p>`;
  return table<DeadLetterOf>(
    'The latest dead letters',
    [
      {
        head: 'Device',
        cell: ({ instanceId, caSn, deviceSn }) =>
          markup`<a href="${basePath}/find?${new URLSearchParams({ deviceSn }).toString()}"><code>${deviceSn}</code></a><small>${instanceId}, CA ${caSn}</small>`,
      },
      { head: 'Code', cell: ({ code }) => markup`<code>${code}</code>` },
      { head: 'Batch', cell: ({ batch }) => linkTo(basePath, batch) },
      {
        head: 'Calls',
        isNumber: true,
        cell: ({ calls, effectUnknown }) =>
          markup`${groupDigits(calls)}${effectUnknown ? markup`<small>one may have worked</small>` : NOTHING}`,
      },
      { head: 'Died', cell: ({ at }) => time(at) },
    ],
    letters,
  );
}
