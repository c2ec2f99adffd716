import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dashboardPanels, RULES } from '../support/monitoring.ts';
import { findPromtool, promtool } from '../support/promtool.ts';

const tool = (await findPromtool()) ?? '';

describe.skipIf(tool === '')('what is shipped for Prometheus', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'certsweep-rules-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('has alert rules that Prometheus takes', async () => {
    const { code, output } = await promtool(tool, ['check', 'rules', RULES]);
    expect([code, output]).toEqual([0, expect.stringMatching(/SUCCESS: \d+ rules found/)]);
  });

  it('has alerts that speak up when they should, and not while all is well', async () => {
    const cases = fileURLToPath(new URL('prometheus-rules.test.yaml', import.meta.url));
    const { code, output } = await promtool(tool, ['test', 'rules', cases]);
    expect([code, output]).toEqual([0, expect.stringContaining('SUCCESS')]);
  });

  it('has a test for every alert', async () => {
    const rules = await readFile(RULES, 'utf8');
    const cases = await readFile(new URL('prometheus-rules.test.yaml', import.meta.url), 'utf8');
    const alerts = [...rules.matchAll(/- alert: (\w+)/g)].map(([, name = '']) => name);
    expect(alerts.length).toBeGreaterThan(10);
    expect(alerts.filter((name) => !cases.includes(`alertname="${name}"`))).toEqual([]);
  });

  it('has a dashboard whose every question Prometheus understands', async () => {
    const panels = await dashboardPanels();
    const rules = panels.flatMap(({ questions }) => questions).map((expr, at) => ({ record: `q:${at}`, expr }));
    const file = join(folder, 'questions.json');
    // JSON is YAML.
    await writeFile(file, JSON.stringify({ groups: [{ name: 'dashboard', rules }] }));
    const { code, output } = await promtool(tool, ['check', 'rules', '--lint=none', file]);
    expect([code, output]).toEqual([0, expect.stringContaining(`SUCCESS: ${rules.length} rules found`)]);
  });
});

it('has no two panels of the dashboard in one place', async () => {
  const panels = await dashboardPanels();
  const cells = panels.flatMap(({ x, y, w, h }) =>
    Array.from({ length: w * h }, (_, at) => `${x + (at % w)} ${y + Math.floor(at / w)}`),
  );
  expect(new Set(cells).size).toBe(cells.length);
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
});
