import { fileVariableOf, readSecret, SecretUnreadable } from '../secret.ts';
import type { Environment } from './config.ts';
import { ConfigError } from './faults.ts';

/** Holds the key that direct jobs are signed with; `_FILE` behind it names a file that does. */
const JOB_KEY_VARIABLE = 'CERTSWEEP_JOB_KEY';
export const JOB_KEY_VARIABLES: readonly string[] = [JOB_KEY_VARIABLE, fileVariableOf(JOB_KEY_VARIABLE)];
/** A shorter one could be found by trying. */
const LEAST_CHARACTERS = 32;
const REMEDY = `make one with openssl rand -hex 32`;

/**
 * The key of signed jobs; undefined where none is given.
 * @throws ConfigError where it cannot be had, or is too short; the message does not repeat it
 */
export function jobKeyOf(environment: Environment): string | undefined {
  const refuse = (value: string, remedy: string): ConfigError =>
    new ConfigError('environment', [{ path: JOB_KEY_VARIABLE, value, remedy }]);
  try {
    const key = readSecret(environment, JOB_KEY_VARIABLE);
    if (key === undefined || key.length >= LEAST_CHARACTERS) return key;
    throw refuse(`${key.length} characters`, `give at least ${LEAST_CHARACTERS}: ${REMEDY}`);
  } catch (error) {
    if (!(error instanceof SecretUnreadable)) throw error;
    throw refuse('not usable', error.message);
  }
}

/** Says what to do where accounts take signed jobs only and no key is given. */
export function jobKeyMissing(accounts: readonly string[]): string {
  return `${JOB_KEY_VARIABLES.join(' or ')} is not set, and direct.accept is signed for account ${accounts.join(', ')}: ${REMEDY}, and give it to the producers too.`;
}
