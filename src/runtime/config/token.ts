import { fileVariableOf, readSecret, SecretUnreadable } from '../secret.ts';
import type { Environment } from './config.ts';
import { ConfigError } from './faults.ts';

/** Holds the token of who runs a command that needs one; `_FILE` behind it names a file that does. */
const TOKEN_VARIABLE = 'CERTSWEEP_TOKEN';
export const TOKEN_VARIABLES: readonly string[] = [TOKEN_VARIABLE, fileVariableOf(TOKEN_VARIABLE)];

/**
 * The token of who runs the command; undefined where none is given.
 * @throws ConfigError where it cannot be had
 */
export function tokenOf(environment: Environment): string | undefined {
  try {
    return readSecret(environment, TOKEN_VARIABLE);
  } catch (error) {
    if (!(error instanceof SecretUnreadable)) throw error;
    throw new ConfigError('environment', [{ path: TOKEN_VARIABLE, value: 'not usable', remedy: error.message }]);
  }
}
