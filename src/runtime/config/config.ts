import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import type { PlannedAction } from '../../core/action.ts';
import type { BackoffPolicy } from '../../core/backoff.ts';
import type { BreakerPolicy } from '../../core/batch.ts';
import { parseDailyWindow, type DailyWindow } from '../../core/daily-window.ts';
import type { DirectPolicy } from '../../core/direct-job.ts';
import type { RegisteredStatus } from '../../core/registered.ts';
import type { Role, TokenLimits } from '../../core/role.ts';
import { timeSpanMs } from '../../core/time-span.ts';
import { fileVariableOf, readSecret, SecretUnreadable } from '../secret.ts';
import { endpointOf } from './account-schema.ts';
import type { ConfigDocument, LOG_LEVELS } from './schema.ts';

/** Variables of a process, as in process.env. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** The configuration, checked, with every default filled in. */
export interface Config {
  /** The file's absolute path, or `environment` when there is none. */
  readonly source: string;
  readonly redis: RedisConfig;
  /** Absolute. */
  readonly dataDir: string;
  readonly egress: {
    readonly id: string;
    /** Calls a second from this source address, over all workers and accounts. */
    readonly qps: number;
    /** Address to bind calls to. */
    readonly localAddress?: string;
  };
  /** Outcome of a certificate that is not registered at the first, clean try. */
  readonly notFound: 'already-gone' | 'dead';
  readonly retry: BackoffPolicy & { readonly attempts: number };
  readonly breaker: BreakerPolicy;
  readonly callDeadlineMs: number;
  readonly limiter: { readonly lateMs: number };
  readonly health: { readonly port?: number; readonly host: string };
  /** `file` is absolute. */
  readonly audit: { readonly requireReason: boolean; readonly file?: string };
  readonly log: { readonly level: (typeof LOG_LEVELS)[number] };
  readonly http: HttpConfig;
  /** Batches of more certificates wait for somebody else's approval; absent: none does. */
  readonly approvals: { readonly above?: number };
  /** May be empty: producers, status and report need none. */
  readonly accounts: readonly AccountConfig[];
  readonly schedules: readonly ScheduleConfig[];
}

/** The HTTP API and the page. */
export interface HttpConfig {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Like `/certsweep`; empty where there is none. */
  readonly basePath: string;
  /** Scheme and host. */
  readonly publicUrl?: string;
  readonly tokens: readonly TokenConfig[];
}

/** Who may come in, by what role. */
export interface TokenConfig extends TokenLimits {
  readonly name: string;
  /** Of the token, lower-case hex. */
  readonly sha256: string;
  readonly role: Role;
}

/** At most one of `url`, `sentinel` and `cluster`; without any, the data directory has its own Redis. See `redisPlaceOf`. */
export interface RedisConfig {
  /** May hold a password: never to be logged. */
  readonly url?: string;
  readonly sentinel?: { readonly name: string; readonly nodes: readonly string[]; readonly tls: boolean };
  readonly cluster?: { readonly nodes: readonly string[]; readonly tls: boolean };
  /** A private certificate authority's file, absolute. */
  readonly tls?: { readonly caFile: string };
  /** Of the embedded Redis; absent: everysec. */
  readonly appendFsync?: 'everysec' | 'always';
  /** Names of environment variables, for Sentinel and cluster. */
  readonly usernameEnv?: string;
  readonly passwordEnv?: string;
  readonly sentinelPasswordEnv?: string;
}

/** One Alibaba Cloud account. */
export interface AccountConfig {
  readonly name: string;
  readonly region?: string;
  /** Scheme, host and port, like `https://onsmqtt.cn-hangzhou.aliyuncs.com`. */
  readonly endpoint: string;
  readonly instances: readonly string[];
  /** Calls a second to this account, over all workers. */
  readonly qps: number;
  /** What is taken in without a manifest. */
  readonly direct: DirectPolicy;
  /** Names of environment variables; absent: the default credentials chain. */
  readonly credentials?: {
    readonly accessKeyIdEnv: string;
    readonly accessKeySecretEnv: string;
    readonly securityTokenEnv?: string;
  };
}

/** What is done to some certificates again and again. */
export interface ScheduleConfig {
  readonly name: string;
  /** Five fields. */
  readonly cron: string;
  /** Of the IANA data. */
  readonly timezone: string;
  /** Each in some account. */
  readonly instances: readonly string[];
  /** Those that fit every one that is given; `names` is a file, absolute, and `returnedFrom` a batch that stands alone. */
  readonly select: {
    readonly expiredForMs?: number;
    readonly status?: RegisteredStatus;
    readonly cas: readonly string[];
    readonly names?: string;
    readonly returnedFrom?: string;
  };
  /** A manifest of certificates to leave alone, absolute. */
  readonly except?: string;
  readonly action: PlannedAction;
  /** Certificates at most, and at most this part of any CA. */
  readonly maxItems: number;
  readonly maxShareOfCa: number;
  readonly catchUpForMs: number;
  /** In the schedule's time zone. */
  readonly window?: DailyWindow;
  readonly execute: boolean;
}

/** The account that an instance belongs to; no instance belongs to two. */
export function accountOf(config: Config, instanceId: string): AccountConfig | undefined {
  return config.accounts.find(({ instances }) => instances.includes(instanceId));
}

/** Where the default chain looks first, the token only where it is set. */
const CHAIN = {
  accessKeyIdEnv: 'ALIBABA_CLOUD_ACCESS_KEY_ID',
  accessKeySecretEnv: 'ALIBABA_CLOUD_ACCESS_KEY_SECRET',
  securityTokenEnv: 'ALIBABA_CLOUD_SECURITY_TOKEN',
} as const;

/**
 * The variables that hold an account's key, each itself or by its file; undefined where the default chain is to find it. The chain knows no files,
 * so where one of its variables is given by a file, they are read without it.
 */
export function keyVariablesOf({ credentials }: AccountConfig, environment: Environment): AccountConfig['credentials'] {
  const isGiven = (name: string): boolean => (environment[name] ?? '') !== '';
  const hasFile = (name: string): boolean => isGiven(fileVariableOf(name));
  if (credentials !== undefined || !Object.values(CHAIN).some(hasFile)) return credentials;
  const { securityTokenEnv, ...key } = CHAIN;
  return isGiven(securityTokenEnv) || hasFile(securityTokenEnv) ? CHAIN : key;
}

/**
 * The variables an account's credentials should be in, but are not, and files that cannot be read. Empty as well for an account on the default
 * chain: only a call tells whether that has any.
 */
export function missingCredentials(account: AccountConfig, environment: Environment): string[] {
  return Object.values(keyVariablesOf(account, environment) ?? {}).flatMap((name) => {
    try {
      return (readSecret(environment, name) ?? '') === '' ? [name] : [];
    } catch (error) {
      if (!(error instanceof SecretUnreadable)) throw error;
      return [error.message];
    }
  });
}

/** A checked document with its places made absolute; a relative one starts at `folder`. */
export function resolveConfig(
  document: ConfigDocument,
  source: string,
  folder: string,
  environment: Environment,
): Config {
  const { redis, dataDir, egress, notFound, retry, breaker, callDeadlineMs, limiter, health, log, accounts } = document;
  const { http, approvals } = document;
  const { requireReason, file } = document.audit;
  const { raisedLimit: _judged, ...address } = egress;
  return {
    source,
    redis: redis.tls === undefined ? redis : { ...redis, tls: { caFile: resolve(folder, redis.tls.caFile) } },
    dataDir: dataDir === undefined ? defaultDataDir(environment) : resolve(folder, dataDir),
    egress: address,
    notFound,
    retry,
    breaker,
    callDeadlineMs,
    limiter,
    health,
    audit: { requireReason, ...(file !== undefined && { file: resolve(folder, file) }) },
    log,
    http,
    approvals,
    accounts: Object.entries(accounts).map(([name, account]) => resolveAccount(name, account)),
    schedules: Object.entries(document.schedules).map(([name, schedule]) => resolveSchedule(name, schedule, folder)),
  };
}

function resolveAccount(name: string, account: ConfigDocument['accounts'][string]): AccountConfig {
  const { limits, endpoint, endpointIsTrusted: _judged, region = '', ...given } = account;
  const at = endpoint === undefined ? endpointOf(region) : new URL(endpoint).origin;
  return { name, ...given, ...(region === '' ? {} : { region }), endpoint: at, qps: limits.qps };
}

function resolveSchedule(
  name: string,
  { select, except, catchUpFor, window, ...given }: ConfigDocument['schedules'][string],
  folder: string,
): ScheduleConfig {
  const { expiredFor, ca = [], names, ...as } = select;
  const expiredForMs = expiredFor === undefined ? undefined : timeSpanMs(expiredFor);
  const hours = window === undefined ? undefined : parseDailyWindow(window);
  return {
    name,
    ...given,
    select: {
      ...as,
      cas: typeof ca === 'string' ? [ca] : ca,
      ...(expiredForMs !== undefined && { expiredForMs }),
      ...(names !== undefined && { names: resolve(folder, names) }),
    },
    ...(except !== undefined && { except: resolve(folder, except) }),
    catchUpForMs: timeSpanMs(catchUpFor) ?? 0,
    ...(hours !== undefined && { window: hours }),
  };
}

/** State, not cache: batches and outcomes are nowhere else. The XDG specification has a relative path ignored. */
function defaultDataDir(environment: Environment): string {
  const state = environment['XDG_STATE_HOME'] ?? '';
  const home = environment['HOME'] ?? '';
  const base = state.startsWith('/') ? state : join(home === '' ? homedir() : home, '.local', 'state');
  return join(base, 'certsweep');
}
