import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { missingCredentials, type Config, type Environment } from '../runtime/config/config.ts';
import { ConfigError } from '../runtime/config/faults.ts';
import { jobKeyMissing, jobKeyOf } from '../runtime/config/job-key.ts';
import { isVerificationOff, VERIFY_REMEDY } from '../runtime/tls.ts';
import { fail, ok, warn, type Check } from './check.ts';

/** A configuration that cannot be used: one check for each of its faults. */
export function refusedConfiguration({ faults }: ConfigError): Check[] {
  return faults.map(({ path, value, remedy }) => fail('configuration', `${path} is ${value}`, remedy));
}

/** A fault where certificates are not verified: nothing else may be checked, since that needs keys. */
export function checkVerification(environment: Environment): Check | undefined {
  if (!isVerificationOff(environment)) return undefined;
  return fail('encryption', 'NODE_TLS_REJECT_UNAUTHORIZED is 0: any server is accepted', VERIFY_REMEDY);
}

/** Whether a worker would start on it. */
export function checkConfiguration(config: Config, environment: Environment): Check[] {
  const { source, accounts } = config;
  const from = source === 'environment' ? 'from the environment alone' : source;
  if (accounts.length === 0) {
    const fix =
      'add accounts.<name> with its region and instances, or set CERTSWEEP_REGION and CERTSWEEP_INSTANCES; see config/production.example.yaml';
    return [fail('configuration', `${from}: no account`, fix)];
  }
  const checks: Check[] = [ok('configuration', `${from}: ${accounts.map(describeAccount).join('; ')}`)];
  for (const account of accounts) {
    const missing = missingCredentials(account, environment);
    if (missing.length === 0) continue;
    const them = missing.length === 1 ? 'it' : 'them';
    const fix = `set ${them}, or a file with _FILE after the name, or name other variables under accounts.${account.name}.credentials`;
    checks.push(fail('configuration', `account ${account.name}: ${missing.join(', ')} not set`, fix));
  }
  return [...checks, ...checkJobKey(accounts, environment)];
}

function checkJobKey(accounts: Config['accounts'], environment: Environment): Check[] {
  const signed = accounts.filter(({ direct }) => direct.accept === 'signed').map(({ name }) => name);
  try {
    if (jobKeyOf(environment) !== undefined || signed.length === 0) return [];
    return [fail('configuration', 'signed jobs cannot be checked', jobKeyMissing(signed))];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return refusedConfiguration(error);
  }
}

function describeAccount({ name, endpoint, instances, credentials }: Config['accounts'][number]): string {
  const keys = credentials === undefined ? 'the default credentials chain' : `the key in ${credentials.accessKeyIdEnv}`;
  const many = instances.length === 1 ? `instance ${instances[0]}` : `${instances.length} instances`;
  return `account ${name} with ${many} at ${endpoint}, ${keys}`;
}

const MEBIBYTE = 1024 ** 2;
/** An append-only file is rewritten beside the old one, so it needs room for itself twice. */
const LITTLE = 1024 * MEBIBYTE;
const TOO_LITTLE = 64 * MEBIBYTE;

/** The room under the embedded Redis: without any, it refuses writes and all work stops. */
export async function checkDisk({ dataDir }: Config): Promise<Check> {
  const fix = `free space there, or move dataDir to another disk while nothing runs`;
  const at = await roomAt(dataDir);
  if (at === undefined) return warn('disk', `${dataDir}: its free space cannot be read`, `check that you may read it`);
  const found = `${dataDir}: ${describeBytes(at)} free`;
  if (at < TOO_LITTLE) return fail('disk', found, fix);
  return at < LITTLE ? warn('disk', found, fix) : ok('disk', found);
}

/** Of the nearest folder that is there: the data directory may not have been made yet. */
async function roomAt(path: string): Promise<number | undefined> {
  for (let folder = path; ; folder = dirname(folder)) {
    try {
      const { bavail, bsize } = await statfs(folder);
      return bavail * bsize;
    } catch (error) {
      const isAbsent = error instanceof Error && 'code' in error && error.code === 'ENOENT';
      if (!isAbsent || folder === dirname(folder)) return undefined;
    }
  }
}

function describeBytes(bytes: number): string {
  const mebibytes = bytes / MEBIBYTE;
  return mebibytes < 1024 ? `${Math.floor(mebibytes)} MiB` : `${(mebibytes / 1024).toFixed(1)} GiB`;
}
