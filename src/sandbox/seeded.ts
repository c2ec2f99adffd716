/** Chance that repeats: the sandbox has no other, so that a run with the same seed misbehaves the same way. */
export type Random = () => number;

/** A generator of numbers in [0, 1) that gives the same sequence for the same seed (mulberry32). */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

/**
 * A number in [0, 1) that depends on the text alone (FNV-1a, then murmur3's finish): what a device meets must not depend
 * on the order in which calls arrive.
 */
export function hashToUnit(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 0x1_0000_0000;
}

/** One of the values; the list must not be empty. */
export function pickOne<T>(random: Random, values: readonly [T, ...T[]]): T {
  return values[Math.floor(random() * values.length)] ?? values[0];
}

/** How long an answer takes besides the sandbox's own work, milliseconds. */
export type Latency =
  | { readonly kind: 'none' }
  | { readonly kind: 'fixed'; readonly ms: number }
  | { readonly kind: 'lognormal'; readonly medianMs: number; readonly p99Ms: number };

/** The 99th percentile of the standard normal distribution. */
const Z99 = 2.3263478740408408;

/** Draws latencies in milliseconds. */
export function latencySampler(latency: Latency, random: Random): () => number {
  switch (latency.kind) {
    case 'none':
      return () => 0;
    case 'fixed':
      return () => latency.ms;
    case 'lognormal': {
      const sigma = Math.log(latency.p99Ms / latency.medianMs) / Z99;
      // Box and Muller; 1 - random() keeps the logarithm finite.
      const normal = (): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
      return () => latency.medianMs * Math.exp(sigma * normal());
    }
  }
}
