import { z } from 'zod';
import { ROLES } from '../../core/role.ts';
import { isLoopback } from '../loopback.ts';

const NAME_REMEDY = 'give 1 to 64 letters, digits, dots, underscores and hyphens';
const SHA256_REMEDY = 'give the SHA-256 of the token, 64 hexadecimal digits: certsweep token makes both';
const MAX_REMEDY = 'give a whole number from 1 to 100000000';
const URL_REMEDY =
  'give scheme and host, like https://certsweep.example.com, without a path: that is what http.basePath is for';

const token = z.strictObject(
  {
    name: z
      .string({ error: NAME_REMEDY })
      .regex(/^[A-Za-z0-9._-]{1,64}$/, { error: NAME_REMEDY })
      .describe('Name in the audit record for what the token changes.'),
    sha256: z
      .string({ error: SHA256_REMEDY })
      .regex(/^[0-9a-f]{64}$/, { error: SHA256_REMEDY })
      .describe('SHA-256 of the token in hexadecimal digits. The token itself is stored nowhere.'),
    role: z.enum(ROLES, { error: `give one of ${ROLES.join(', ')}` }).describe('What it may do.'),
    accounts: z
      .array(z.string({ error: 'give names of accounts' }), { error: 'give a list of names of accounts' })
      .min(1, { error: 'name an account, or remove the line: without it, all are meant' })
      .exactOptional()
      .describe('Only these accounts.'),
    maxItems: z
      .int({ error: MAX_REMEDY })
      .min(1, { error: MAX_REMEDY })
      .max(100_000_000, { error: MAX_REMEDY })
      .exactOptional()
      .describe('The most certificates of one submission.'),
  },
  { error: 'write name, sha256 and role below it: certsweep token prints such an entry' },
);

/** The HTTP API, and who may use it. */
export const httpSchema = z
  .strictObject(
    {
      host: z
        .union([z.ipv4(), z.ipv6()], { error: 'give an IPv4 or IPv6 address of this host, 0.0.0.0 or :: for all' })
        .default('127.0.0.1')
        .describe('Address that `certsweep serve` listens on. Any other than loopback needs tokens.'),
      port: z
        .int({ error: 'give a port from 1 to 65535, or 0 for a free one' })
        .min(0, { error: 'give a port from 1 to 65535, or 0 for a free one' })
        .max(65_535, { error: 'give a port from 1 to 65535, or 0 for a free one' })
        .default(9_480)
        .describe('Port that `certsweep serve` listens on; 0 takes a free one.'),
      basePath: z
        .string({ error: 'give a path like /certsweep, or remove the line' })
        .regex(/^(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._~-]+)*$/, {
          error: 'give a path like /certsweep, without a slash at the end, or remove the line',
        })
        .default('')
        .describe('Path that a proxy has for it, like `/certsweep`. Links and cookies carry it.'),
      publicUrl: z
        .string({ error: URL_REMEDY })
        .refine(isOrigin, { error: URL_REMEDY })
        .exactOptional()
        .describe(
          'How others reach it, like `https://certsweep.example.com`. No other `Host` but loopback is answered.',
        ),
      tokens: z
        .array(token, { error: 'write one entry for each token: certsweep token prints one' })
        .default([])
        .describe('The tokens: name, sha256, role, and optionally accounts and maxItems.'),
    },
    { error: 'write host, port and tokens below it' },
  )
  .superRefine(({ host, tokens }, context) => {
    if (tokens.length === 0 && !isLoopback(host)) {
      const message = 'give it tokens (http.tokens, certsweep token makes one), or listen on 127.0.0.1';
      context.addIssue({ code: 'custom', path: ['host'], message });
    }
    for (const key of ['name', 'sha256'] as const) {
      for (const [at, one] of tokens.entries()) {
        if (tokens.findIndex((other) => other[key] === one[key]) === at) continue;
        const message = `give each token its own ${key}: another one has this`;
        context.addIssue({ code: 'custom', path: ['tokens', at, key], message });
      }
    }
  });

/** What needs the approval of somebody else. */
export const approvalsSchema = z.strictObject(
  {
    above: z
      .int({ error: 'give a whole number from 1 to 100000000' })
      .min(1, { error: 'give a whole number from 1 to 100000000' })
      .max(100_000_000, { error: 'give a whole number from 1 to 100000000' })
      .exactOptional()
      .describe('A batch of more certificates runs only once another token, of an approver, has approved it.'),
  },
  { error: 'write above below it' },
);

function isOrigin(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, origin, pathname, username, password } = new URL(text);
  const isPlain = pathname === '/' && username === '' && password === '' && !/[?#]/.test(text);
  return isPlain && (protocol === 'https:' || protocol === 'http:') && origin !== 'null';
}
