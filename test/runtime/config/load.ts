import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Config } from '../../../src/runtime/config/config.ts';
import { ConfigError } from '../../../src/runtime/config/faults.ts';
import type { ConfigFault } from '../../../src/runtime/config/faults.ts';
import { loadConfig } from '../../../src/runtime/config/load-config.ts';

type Variables = Readonly<Record<string, string>>;

/** Loads the text as a file, in a folder that is gone afterwards. */
export async function loadYaml(yaml: string, environment: Variables = {}): Promise<Config> {
  const folder = await mkdtemp(join(tmpdir(), 'certsweep-config-'));
  try {
    const path = join(folder, 'certsweep.yaml');
    await writeFile(path, yaml);
    return await loadConfig({ path, environment });
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** The error with which loading ends; fails where it does not. */
export async function errorOf(loading: Promise<Config>): Promise<ConfigError> {
  const error: unknown = await loading.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof ConfigError)) throw new Error('not refused with a ConfigError', { cause: error });
  return error;
}

/** The faults of a file. */
export async function faultsIn(yaml: string, environment: Variables = {}): Promise<readonly ConfigFault[]> {
  return (await errorOf(loadYaml(yaml, environment))).faults;
}

/** The faults of an environment without a file. */
export async function faultsOf(environment: Variables): Promise<readonly ConfigFault[]> {
  return (await errorOf(loadConfig({ environment }))).faults;
}
