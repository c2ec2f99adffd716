import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

const folder = new URL('../../config/monitoring/', import.meta.url);

/** The shipped alert rules. */
export const RULES = fileURLToPath(new URL('prometheus-rules.yaml', folder));

/** A panel of the shipped dashboard, and what it asks Prometheus. */
export interface Panel {
  readonly id: number;
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
  readonly questions: readonly string[];
}

interface Dashboard {
  readonly panels: readonly {
    readonly id: number;
    readonly gridPos: Omit<Panel, 'id' | 'questions'>;
    readonly targets?: readonly { readonly expr: string }[];
  }[];
}

/** The panels with their variables filled in, as Grafana does before it asks. */
export async function dashboardPanels(): Promise<Panel[]> {
  const text = await readFile(new URL('grafana-dashboard.json', folder), 'utf8');
  const { panels } = JSON.parse(text) as Dashboard;
  return panels.map(({ id, gridPos, targets = [] }) => ({
    id,
    ...gridPos,
    questions: targets.map(({ expr }) => expr.replaceAll('$__rate_interval', '1m').replaceAll('$account', '.*')),
  }));
}

/** What the alerts ask Prometheus. */
export async function alertQuestions(): Promise<string[]> {
  const { groups } = parse(await readFile(RULES, 'utf8')) as {
    readonly groups: readonly { readonly rules: readonly { readonly expr: string }[] }[];
  };
  return groups.flatMap(({ rules }) => rules.map(({ expr }) => expr));
}

/** The metrics that a question names. */
export function metricsOf(question: string): string[] {
  return question.match(/\b(?:certsweep|nodejs|process)_\w+/g) ?? [];
}

/** The labels of Certsweep's own metrics that a question selects by, each with its values. */
export function matchersOf(question: string): { readonly label: string; readonly value: string }[] {
  const matchers = [...question.matchAll(/(\w+)(?:=|!=|=~|!~)"([^"]*)"/g)];
  return matchers.flatMap(([, label = '', values = '']) => values.split('|').map((value) => ({ label, value })));
}
