import type { DefaultCredentialsProvider } from '@alicloud/credentials';
import type { AccessKey } from './access-key.ts';
import { redactorFor } from './redact.ts';
import { hushHttpx } from './sdk.ts';

/** Where a client has its key from. */
export interface CredentialSource {
  /** The key in use; the same object until it is fetched again. @throws Error, fit to be shown, when none can be had */
  get(): Promise<AccessKey>;
  /** The key was refused: every later `get` returns one that was fetched after this. */
  invalidate(): void;
}

/** The names of the variables, not their values. */
export interface CredentialVariables {
  readonly accessKeyId: string;
  readonly accessKeySecret: string;
  /** Given for temporary keys; then the variable must be set, too. */
  readonly securityToken?: string;
}

/** How long a key is used before the source is asked again, milliseconds. */
export const KEY_LIFE_MS = 60_000;
/** How long a failure stands, milliseconds: a full pace of calls must not become a flood of refreshes. */
export const FAILURE_LIFE_MS = 1_000;

/**
 * Reads the key from variables, again at each refresh.
 * @param read - the value of a variable; undefined where there is none
 */
export function credentialsFromEnvironment(
  names: CredentialVariables,
  read: (name: string) => string | undefined,
): CredentialSource {
  return cacheCredentials(async () => {
    const key = {
      accessKeyId: readVariable(names.accessKeyId, read),
      accessKeySecret: readVariable(names.accessKeySecret, read),
    };
    if (names.securityToken === undefined) return key;
    return { ...key, securityToken: readVariable(names.securityToken, read) };
  });
}

/** The official chain: `ALIBABA_CLOUD_*` variables, OIDC, the CLI's profile, a credentials file, the instance's RAM role, a URI. */
export function credentialsFromChain(): CredentialSource {
  let chain: DefaultCredentialsProvider | undefined;
  return cacheCredentials(async (isRefused) => {
    hushHttpx();
    // Loaded where it is needed only: it is much, and most have their key in variables.
    const { DefaultCredentialsProvider } = await import('@alicloud/credentials');
    // A chain that failed once asks only its last link ever after, and one that succeeded keeps a refused token: build another.
    if (isRefused || chain === undefined) chain = DefaultCredentialsProvider.builder().build();
    // Without the cause: the SDK's errors carry whole requests.
    const { key, why } = await askChain(chain);
    if (key !== undefined) return key;
    throw new Error(
      `credentials: set ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET, or give this host a profile or RAM role; the chain says: ${why}`,
    );
  });
}

async function askChain(
  chain: DefaultCredentialsProvider,
): Promise<{ readonly key: AccessKey; readonly why?: never } | { readonly key?: never; readonly why: string }> {
  try {
    const { accessKeyId, accessKeySecret, securityToken } = await chain.getCredentials();
    if (!accessKeyId || !accessKeySecret) return { why: 'the chain answered without an access key' };
    return { key: { accessKeyId, accessKeySecret, ...(securityToken ? { securityToken } : {}) } };
  } catch (error) {
    return { why: redactorFor(undefined)(error instanceof Error ? error.message : 'the chain failed') };
  }
}

/**
 * One refresh in flight for all callers, never two at once: the official chain's concurrent refreshes reject each other.
 * @param fetch - gets a key; `isRefused` when the last one was refused or could not be had
 * @param nowMs - a clock that never goes back, milliseconds
 */
export function cacheCredentials(
  fetch: (isRefused: boolean) => Promise<AccessKey>,
  nowMs: () => number = () => performance.now(),
): CredentialSource {
  let held: { readonly answer: Promise<AccessKey>; readonly untilMs: number } | undefined;
  let refresh: Promise<AccessKey> | undefined;
  let isRefused = false;

  const start = async (): Promise<AccessKey> => {
    const answer = fetch(isRefused);
    isRefused = false;
    try {
      const key = await answer;
      // Refused while this was under way: it may be the refused key once more.
      held = isRefused ? undefined : { answer, untilMs: nowMs() + KEY_LIFE_MS };
      return key;
    } catch (error) {
      held = { answer, untilMs: nowMs() + FAILURE_LIFE_MS };
      isRefused = true;
      throw error;
    } finally {
      refresh = undefined;
    }
  };

  const get = (): Promise<AccessKey> => {
    // One under way since before a refusal may bring the refused key.
    if (refresh !== undefined) return isRefused ? refresh.then(get, get) : refresh;
    if (held !== undefined && nowMs() < held.untilMs) return held.answer;
    refresh = start();
    return refresh;
  };

  return {
    get,
    invalidate() {
      held = undefined;
      isRefused = true;
    },
  };
}

function readVariable(name: string, read: (name: string) => string | undefined): string {
  const value = read(name);
  if (value === undefined)
    throw new Error(`credentials: the environment variable ${name} is not set: set it, or ${name}_FILE`);
  if (value.trim() === '') throw new Error(`credentials: the environment variable ${name} is blank, give it a value`);
  if (value.trim() !== value)
    throw new Error(`credentials: the environment variable ${name} begins or ends with white space, remove it`);
  return value;
}
