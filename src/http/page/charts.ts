import type { OutcomeHistory } from '../../app/outcome-history.ts';
import { paceHistory, type PaceHistory } from '../../app/pace-history.ts';
import type { Store } from '../../app/store.ts';
import { outcomesOfAction, type Action } from '../../core/action.ts';
import { kindOf, nameOf, OUTCOME_KINDS } from './batch-figures.ts';
import { markup, NOTHING, type Markup } from './markup.ts';

/** Columns for the script: times in Unix seconds, then one list for each line. */
export type Lines = readonly (readonly (number | null)[])[];

/** By the name of the chart. */
export type Charts = Readonly<Record<string, Lines>>;

const PACE_LEGEND = [
  { kind: 'used', name: 'used' },
  { kind: 'in-force', name: 'in force' },
  { kind: 'configured', name: 'configured' },
] as const;

/** The last hour of each clock that the caller may see. */
export async function paceHistories(store: Store, only: readonly string[] | undefined): Promise<PaceHistory[]> {
  const all = await paceHistory(store);
  return all.filter(({ kind, name }) => only === undefined || kind === 'egress' || only.includes(name));
}

export function paceCharts(histories: readonly PaceHistory[]): Charts {
  return Object.fromEntries(
    histories.map((history) => {
      const { samples } = history;
      return [
        chartOf(history),
        [
          samples.map(({ at }) => at / 1_000),
          samples.map(({ used }) => used),
          samples.map(({ inForce }) => inForce),
          samples.map(({ qps }) => qps),
        ],
      ];
    }),
  );
}

/** Where the charts of pace stand; the script draws them, and anyone who sees none hears the last figures. */
export function paceFigures(basePath: string, histories: readonly PaceHistory[]): Markup {
  if (histories.length === 0)
    return markup`<p id="charts" class="panel empty" data-charts="${basePath}/charts/pace">No worker has run within the last hour.</p>`;
  return markup`<div id="charts" class="charts" data-charts="${basePath}/charts/pace">${histories.map((history) => {
    const last = history.samples.at(-1);
    const name = `${history.kind === 'egress' ? 'Address' : 'Account'} ${history.name}`;
    const words = [last?.used ?? '–', last?.inForce ?? '–', last?.qps ?? '–'];
    return markup`<figure class="panel" data-chart="${chartOf(history)}" data-kind="pace"><figcaption><span class="name">${name}</span>${legendOf(PACE_LEGEND, words)}</figcaption><div class="plot" role="img" aria-label="Calls a second of ${name} over the last hour. The figures above are the last ones."></div></figure>`;
  })}</div><p class="faint note">In force is 0 while calls are stopped, halted, or held after a throttling answer.</p>`;
}

/** One line for each kind, whatever the batch does. */
export function outcomeCharts(action: Action, { spans, spanMs }: OutcomeHistory): Charts {
  const perSecond = spanMs / 1_000;
  const lines = OUTCOME_KINDS.map((kind) => {
    const outcomes = outcomesOfAction(action).filter((outcome) => kindOf(outcome) === kind);
    return spans.map(({ counts }) => outcomes.reduce((sum, outcome) => sum + counts[outcome], 0) / perSecond);
  });
  return { outcomes: [spans.map(({ at }) => (at + spanMs / 2) / 1_000), ...lines] };
}

export function outcomeFigure(action: Action, source: string): Markup {
  const legend = OUTCOME_KINDS.map((kind) => {
    const outcomes = outcomesOfAction(action).filter((outcome) => kindOf(outcome) === kind);
    return { kind, name: outcomes.map(nameOf).join(', ') };
  });
  return markup`<div class="charts one" data-charts="${source}"><figure class="panel" data-chart="outcomes" data-kind="outcomes"><figcaption>${legendOf(legend, [])}</figcaption><div class="plot" role="img" aria-label="Outcomes a second since the batch began. The figures of the batch stand above."></div></figure></div>`;
}

function legendOf(
  lines: readonly { readonly kind: string; readonly name: string }[],
  words: readonly (string | number)[],
): Markup {
  const items = lines.map(({ kind, name }, at) => {
    const word = words[at];
    const value = word === undefined ? NOTHING : markup` <b data-last="${at + 1}">${String(word)}</b>`;
    return markup`<li><svg class="key ${kind}" viewBox="0 0 12 12" aria-hidden="true"><rect y="4" width="12" height="4" rx="2"/></svg>${name}${value}</li>`;
  });
  return markup`<ul class="legend">${items}</ul>`;
}

function chartOf({ kind, name }: PaceHistory): string {
  return `${kind} ${name}`;
}
