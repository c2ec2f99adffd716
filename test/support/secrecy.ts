import type { Redis } from 'ioredis';

/** A signature that nobody blacked out, as it stands in a query, in a query inside another one, and so on. */
const SIGNATURE = /Signature(?:=|%3D|%253D)(?!\[redacted\])/;

/** The forms in which a secret may stand in a text: as it is and in base64, each plain and percent-encoded once and twice. */
export function formsOf(secret: string): string[] {
  const forms = [secret, ...base64Of(secret)].flatMap((form) => {
    const once = encodeURIComponent(form);
    return [form, once, encodeURIComponent(once)];
  });
  return [...new Set(forms)];
}

/** What is in the text of the secrets, in any of their forms, and of signatures; empty where nothing is. */
export function leaksIn(text: string, secrets: readonly string[]): string[] {
  const leaks = secrets.flatMap(formsOf).filter((form) => text.includes(form));
  const at = text.search(SIGNATURE);
  return at < 0 ? leaks : [...leaks, text.slice(at, at + 50)];
}

/** Every key of a Redis of one's own with its value, as the bytes that were written, a letter a byte. */
export async function* everythingIn(redis: Redis): AsyncGenerator<readonly [key: string, value: string]> {
  // Else DUMP packs strings, and with them whole hashes and stream nodes: what repeats in them is not to be seen.
  await redis.config('SET', 'rdbcompression', 'no');
  for await (const keys of redis.scanStream({ count: 1_000 }) as AsyncIterable<string[]>) {
    for (const key of keys) yield [key, (await redis.dumpBuffer(key))?.toString('latin1') ?? ''];
  }
}

/** Inside a longer text the secret begins at one of three places of a group; the letters at its ends depend on its neighbours. */
function base64Of(secret: string): string[] {
  return [0, 1, 2].flatMap((offset) => {
    const bytes = Buffer.concat([Buffer.alloc(offset), Buffer.from(secret)]);
    const own = [Math.ceil((offset * 8) / 6), Math.floor((bytes.length * 8) / 6)] as const;
    return [bytes.toString('base64').slice(...own), bytes.toString('base64url').slice(...own)];
  });
}
