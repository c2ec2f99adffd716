import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Check, CheckName } from '../../src/doctor/check.ts';
import { examine } from '../../src/doctor/examine.ts';
import { credentialsOf } from '../../src/queue/worker/credentials.ts';
import { loadConfig } from '../../src/runtime/config/load-config.ts';

export const KEY = { accessKeyId: 'patient-key-id', accessKeySecret: 'patient-key-secret' } as const;
export const INSTANCE = 'post-cn-patient';
export const ACCOUNT = { ...KEY, instances: [INSTANCE, 'post-cn-second'] } as const;

/** A port of this host that nothing listens on. */
export const NOWHERE = '127.0.0.1:1';

const VARIABLES = { accessKeyIdEnv: 'PATIENT_ID', accessKeySecretEnv: 'PATIENT_SECRET' };

export interface PatientOptions {
  readonly endpoint: string;
  readonly dataDir: string;
  readonly instances?: readonly string[];
  /** Default: the account's own. */
  readonly secret?: string;
  /** More of the configuration. */
  readonly settings?: object;
}

/** Examines an installation with one account and its real Redis and endpoint. */
export async function examined(options: PatientOptions): Promise<Check[]> {
  const { endpoint, dataDir, instances = [INSTANCE], secret = KEY.accessKeySecret, settings = {} } = options;
  const folder = await mkdtemp(join(tmpdir(), 'certsweep-doctor-'));
  try {
    const path = join(folder, 'certsweep.yaml');
    const accounts = { clinic: { endpoint, instances, credentials: VARIABLES } };
    // JSON is YAML.
    // Slots that a busy machine can use.
    const limiter = { lateMs: 200 };
    await writeFile(path, JSON.stringify({ dataDir, accounts, callDeadlineMs: 2_000, limiter, ...settings }));
    const environment = { PATIENT_ID: KEY.accessKeyId, PATIENT_SECRET: secret };
    const checks: Check[] = [];
    const patient = {
      config: await loadConfig({ path, environment }),
      environment,
      credentialsOf: (account: Parameters<typeof credentialsOf>[0]) => credentialsOf(account, environment),
      notice: () => undefined,
    };
    for await (const check of examine(patient)) checks.push(check);
    expectFixes(checks);
    expect(JSON.stringify(checks)).not.toContain(secret);
    return checks;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Whatever is not well comes with a next step. */
export function expectFixes(checks: readonly Check[]): void {
  const helpless = checks.filter(({ state, fix = '' }) => (state === 'ok') === (fix !== ''));
  expect(helpless).toEqual([]);
}

/** The states of the checks of this name. */
export function statesOf(checks: readonly Check[], name: CheckName): string[] {
  return checks.filter((check) => check.name === name).map(({ state }) => state);
}

/** What was found under the name, in one text. */
export function foundOf(checks: readonly Check[], name: CheckName): string {
  return checks
    .filter((check) => check.name === name)
    .map(({ found }) => found)
    .join('\n');
}

/** Everything that is not ok. */
export function complaints(checks: readonly Check[]): string[] {
  return checks.filter(({ state }) => state !== 'ok').map(({ name, state, found }) => `${state} ${name}: ${found}`);
}
