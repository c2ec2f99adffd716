/** No Redis can be used; the message is complete for a person: what, why, what next. Never carries a password. */
export class RedisUnavailable extends Error {
  override readonly name = 'RedisUnavailable';
}

interface Sentence {
  readonly pattern: RegExp;
  readonly says: (where: string) => string;
}

/**
 * Redis error prefixes are at the start of a reply, or after "-" inside "ERR Error running script" of servers before 7. The code of a network
 * error is matched in the same way. First match wins.
 */
const SENTENCES: readonly Sentence[] = [
  {
    // It repeats the last Sentinel's own error, which would be taken for one of Redis.
    pattern: /sentinels are unreachable/,
    says: (where) =>
      `No Sentinel names a server as ${where}: check redis.sentinel.name and nodes, and where they want a password, redis.sentinelPasswordEnv`,
  },
  {
    pattern: /cluster support disabled/,
    says: (where) => `This is not a cluster but a single Redis (${where}): give it as redis.url`,
  },
  {
    pattern: /\bNOREPLICAS\b/,
    says: () =>
      'Redis refuses writes because too few replicas follow it (NOREPLICAS): bring them back; certsweep continues by itself when they have caught up',
  },
  {
    pattern: /\bMISCONF\b/,
    says: () =>
      'Redis refuses writes because it cannot save to disk (MISCONF): free space on the disk of its data directory; certsweep then continues by itself',
  },
  {
    pattern: /\bOOM\b/,
    says: () =>
      'Redis has reached its maxmemory (OOM): raise maxmemory, or finish or cancel a batch; nothing is evicted',
  },
  {
    pattern: /\bREADONLY\b/,
    says: () => 'This Redis is a read-only replica (READONLY): point redis.url at the primary',
  },
  {
    pattern: /\bNOAUTH\b|without any password configured|HELLO must be called with the client already authenticated/,
    says: () =>
      'Redis wants a password (NOAUTH): put it into redis.url, redis://:<password>@host:port; with Sentinel or a cluster, into the variable that redis.passwordEnv names',
  },
  {
    pattern: /\bWRONGPASS\b|invalid password/,
    says: () =>
      'Redis refuses this user and password (WRONGPASS): correct redis.url, where special characters must be percent-encoded, or the variables that redis.usernameEnv and redis.passwordEnv name',
  },
  {
    pattern: /\bNOPERM\b/,
    says: () =>
      'The Redis user lacks a permission (NOPERM): allow it all commands on the keys of the prefix, and scripts',
  },
  {
    pattern: /\bLOADING\b/,
    says: () => 'Redis is loading its data from disk (LOADING): wait until it has finished',
  },
  {
    pattern: /\bCLUSTERDOWN\b/,
    says: () =>
      'The Redis Cluster does not serve the keys (CLUSTERDOWN): bring its lost nodes back, see CLUSTER INFO; certsweep then continues by itself',
  },
  {
    pattern: /\bMASTERDOWN\b|\bMOVED\b/,
    says: () =>
      'This Redis is a node of a cluster, or a replica, that cannot serve the key: list the nodes of a cluster under redis.cluster, or point redis.url at a primary',
  },
  {
    pattern: /\bBUSY\b/,
    says: () => 'Redis is busy with a long script (BUSY): wait, or end the script with SCRIPT KILL',
  },
  {
    pattern: /\bECONNREFUSED\b|\bENOENT\b/,
    says: (where) =>
      `Nothing answers at ${where} (connection refused): start Redis there, or correct redis.url or redis.cluster`,
  },
  {
    pattern: /\bENOTFOUND\b|\bEAI_AGAIN\b/,
    says: (where) =>
      `The host name of ${where} cannot be resolved: correct redis.url or redis.cluster, or the DNS of this machine`,
  },
  {
    pattern: /\bETIMEDOUT\b|\bEHOSTUNREACH\b|\bENETUNREACH\b|timed out|Socket timeout/,
    says: (where) => `Redis at ${where} does not answer in time: check the network, firewall and load of that host`,
  },
  {
    pattern: /\bEACCES\b/,
    says: (where) => `No permission to open ${where}: run as the user who owns it`,
  },
  {
    pattern: /CERT|ERR_TLS|ERR_SSL|\bEPROTO\b/,
    says: (where) =>
      `TLS with Redis at ${where} fails: check the certificate, and whether redis:// or rediss:// is meant`,
  },
  {
    pattern: /\bECONNRESET\b|\bEPIPE\b|Connection is closed|max retries per request|Command aborted/,
    says: (where) => `The connection to Redis at ${where} broke before it answered: check that Redis runs, and its log`,
  },
];

/** One sentence with the next step. Server replies are classified by their prefix, network faults by their code. */
export function describeRedisError(error: unknown, where = addressOf(error)): string {
  const text = textOf(error);
  const sentence = SENTENCES.find(({ pattern }) => pattern.test(text));
  if (sentence !== undefined) return sentence.says(where);
  const isReply = error instanceof Error && error.name === 'ReplyError';
  return `${isReply ? 'Redis failed: ' : ''}${text.split('\n')[0]}`;
}

/** Redis answers, but refuses writes until there is room: MISCONF (disk) or OOM (memory). The write did not happen. */
export function isRedisFull(error: unknown): boolean {
  return /\b(MISCONF|OOM)\b/.test(textOf(error));
}

/** Takes the command off an ioredis error: its arguments hold the password (HELLO, AUTH) or job data, and loggers print them. */
export function withoutCommand(error: Error): Error {
  if ('command' in error) Reflect.deleteProperty(error, 'command');
  return error;
}

function textOf(error: unknown, above: readonly unknown[] = []): string {
  if (!(error instanceof Error)) return String(error);
  // A connection that is lost in a MULTI gives all of it one error, which then is one of those before itself.
  if (above.includes(error)) return '';
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  // EXECABORT hides the reason in the replies before it; a connection tried over IPv6 and IPv4 fails with both.
  const inner =
    'previousErrors' in error && Array.isArray(error.previousErrors)
      ? error.previousErrors
      : error instanceof AggregateError
        ? error.errors
        : [];
  const last = 'lastNodeError' in error ? error.lastNodeError : undefined;
  return [
    error.message,
    code,
    ...inner.map((one) => textOf(one, [...above, error])),
    last === undefined ? '' : textOf(last),
  ]
    .filter((part) => part !== '')
    .join(' ');
}

function addressOf(error: unknown): string {
  const from = error instanceof AggregateError ? error.errors[0] : error;
  if (!(from instanceof Error)) return 'the configured address';
  if ('port' in from && 'address' in from) return `${String(from.address)}:${String(from.port)}`;
  // A Unix socket's path is in `address` alone.
  return 'address' in from ? String(from.address) : 'the configured address';
}
