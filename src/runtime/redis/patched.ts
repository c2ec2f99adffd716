/** The flaw below which a server must not stay: anyone who may run a script there can run code as the server (10.0 of 10). */
export const FLAW = 'CVE-2025-49844';

/**
 * By the line of the server, the first release without the flaw. Lines that are not here were never fixed, or began without it. For Redis:
 * https://github.com/docker-library/official-images/pull/20011. For Valkey 8.1: https://github.com/valkey-io/valkey/issues/3473, 7.2:
 * https://github.com/valkey-io/valkey-io.github.io/pull/376, 8.0: the change log of SUSE's package. All of them are of 3 October 2025.
 */
const REDIS: Readonly<Record<string, number>> = { '6.2': 20, '7.2': 11, '7.4': 6, '8.0': 4, '8.2': 2 };
const VALKEY: Readonly<Record<string, number>> = { '7.2': 11, '8.0': 6, '8.1': 4 };
const NEWEST_WITH_FLAW = { redis: [8, 2], valkey: [8, 1] } as const;

/** Whether a release has no known authenticated execution of code. A distribution may have fixed an older one under its own version numbers. */
export function isPatched(flavour: 'redis' | 'valkey', version: string): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number);
  const first = (flavour === 'redis' ? REDIS : VALKEY)[`${major}.${minor}`];
  if (first !== undefined) return patch >= first;
  const [newestMajor, newestMinor] = NEWEST_WITH_FLAW[flavour];
  return major > newestMajor || (major === newestMajor && minor > newestMinor);
}
