import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { withId, type PlanHeader } from '../../src/plan/plan-file.ts';
import type { NewCa, NewDevice } from '../../src/sandbox/listed-registry.ts';
import type { SandboxOptions } from '../../src/sandbox/sandbox.ts';
import type { Ended } from '../support/command.ts';
import { manifestOf, openFleet, type Fleet } from '../support/fleet.ts';
import { INSTANCE } from '../support/installation.ts';

export const device = (deviceSn: string, caSn: string, state: 'active' | 'inactive' = 'active'): NewDevice => ({
  instanceId: INSTANCE,
  caSn,
  deviceSn,
  state,
});
const ca = (caSn: string, state: 'active' | 'inactive'): NewCa => ({ instanceId: INSTANCE, caSn, state });

const REGISTRY = [
  ca('CA01', 'active'),
  ca('CA02', 'inactive'),
  device('a1', 'CA01'),
  device('a2', 'CA01', 'inactive'),
  device('a3', 'CA01'),
  device('b1', 'CA02'),
];

/** One of each class, and CA02 wholly. */
export const NAMED = manifestOf(
  [
    ['CA01', 'a1'],
    ['CA01', 'a2'],
    ['CA01', 'nowhere'],
    ['CA01', 'b1'],
    ['CA02', 'b1'],
  ].map(([caSn = '', deviceSn = '']) => ({ instanceId: INSTANCE, caSn, deviceSn })),
);

/** A fleet, and what a test of plans does with it. */
export interface Planning extends Fleet {
  /** Where `planned` writes. */
  readonly planFile: string;
  plan(...flags: string[]): Promise<Ended>;
  /** `submit --plan`, with `--json`. */
  submitPlan(path: string, ...flags: string[]): Promise<Ended>;
  /** Plans a manifest, by default the one with each class. */
  planned(manifest?: string): Promise<PlanHeader>;
  /** Writes the plan again with a header that says something else, as if it had been planned so. */
  forged(change: Partial<PlanHeader>): Promise<string>;
  /** Nothing was called for, and there is no batch. */
  expectUntouched(): Promise<void>;
}

export async function openPlanning(sandbox: Partial<SandboxOptions> = {}): Promise<Planning> {
  const fleet = await openFleet({
    sandbox: { registry: REGISTRY, ...sandbox },
    settings: { limiter: { lateMs: 200 } },
  });
  const planFile = join(fleet.folder, 'it.plan');
  const plan = (...flags: string[]): Promise<Ended> => fleet.run(['plan', ...flags]);
  return {
    ...fleet,
    planFile,
    plan,
    submitPlan: (path, ...flags) => fleet.run(['submit', '--plan', path, '--json', ...flags]),
    async planned(manifest = NAMED) {
      const ended = await plan(await fleet.file('m.csv', manifest), '--out', planFile);
      expect(ended).toMatchObject({ code: 0 });
      return headerOf(planFile);
    },
    async forged(change) {
      const [, ...body] = (await readFile(planFile, 'utf8')).split('\n');
      const path = join(fleet.folder, 'forged.plan');
      await writeFile(path, [JSON.stringify(withId({ ...(await headerOf(planFile)), ...change })), ...body].join('\n'));
      return path;
    },
    async expectUntouched() {
      expect(fleet.sandbox.seen().byOperation).not.toHaveProperty('DeleteDeviceCertificate');
      const { stdout } = await fleet.run(['status', '--json']);
      expect((JSON.parse(stdout) as { batches: unknown[] }).batches).toEqual([]);
    },
  };
}

export async function headerOf(path: string): Promise<PlanHeader> {
  return JSON.parse((await readFile(path, 'utf8')).split('\n')[0] ?? '') as PlanHeader;
}
