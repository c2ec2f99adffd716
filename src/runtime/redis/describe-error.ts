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
    pattern: /\bMISCONF\b/,
    says: () =>
      'Redis refuses writes because it cannot save to disk (MISCONF): free space on the disk of its data directory; it goes on by itself within a second',
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
    says: () => 'Redis wants a password (NOAUTH): put it into redis.url, redis://:<password>@host:port',
  },
  {
    pattern: /\bWRONGPASS\b|invalid password/,
    says: () =>
      'Redis refuses this user and password (WRONGPASS): correct redis.url; special characters must be percent-encoded',
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
    pattern: /\bMASTERDOWN\b|\bCLUSTERDOWN\b|\bMOVED\b/,
    says: () =>
      'This Redis is a node of a cluster or a replica that cannot serve the key: point redis.url at a standalone primary',
  },
  {
    pattern: /\bBUSY\b/,
    says: () => 'Redis is busy with a long script (BUSY): wait, or look for the script with SCRIPT KILL',
  },
  {
    pattern: /\bECONNREFUSED\b|\bENOENT\b/,
    says: (where) => `Nothing answers at ${where} (connection refused): start Redis there, or correct redis.url`,
  },
  {
    pattern: /\bENOTFOUND\b|\bEAI_AGAIN\b/,
    says: (where) => `The host name of ${where} cannot be resolved: correct redis.url or the DNS of this machine`,
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
  return sentence === undefined ? `Redis failed: ${text.split('\n')[0]}` : sentence.says(where);
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

function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  // EXECABORT hides the reason in the replies before it; a connection tried over IPv6 and IPv4 fails with both.
  const inner =
    'previousErrors' in error && Array.isArray(error.previousErrors)
      ? error.previousErrors
      : error instanceof AggregateError
        ? error.errors
        : [];
  const last = 'lastNodeError' in error ? error.lastNodeError : undefined;
  return [error.message, code, ...inner.map(textOf), last === undefined ? '' : textOf(last)]
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
