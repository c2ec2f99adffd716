import { RankedList } from './ranked-list.ts';
import type { Random } from './seeded.ts';

/** In which order a listing has its certificates; the real one is not documented. */
export const LISTING_ORDERS = ['oldest', 'newest', 'shuffled', 'changing'] as const;
/** `oldest` or `newest` first, `shuffled` once and for all, or `changing` with each call. */
export type ListingOrder = (typeof LISTING_ORDERS)[number];

/** Which certificates stand at some places of a listing. Certificates are numbers that grow with each registration. */
export interface Listing {
  readonly size: number;
  insert(id: number): void;
  remove(id: number): void;
  page(from: number, count: number): number[];
}

/** @param random - seeded: it decides the shuffles */
export function makeListing(order: ListingOrder, random: Random): Listing {
  const salt = Math.floor(random() * 0x1_0000_0000);
  const list = new RankedList(order === 'shuffled' ? (id) => scramble(id ^ salt) : (id) => id);
  const page = (from: number, count: number): number[] => {
    const { size } = list;
    const here = Math.max(0, Math.min(count, size - from));
    switch (order) {
      case 'oldest':
      case 'shuffled':
        return list.slice(from, here);
      case 'newest':
        return list.slice(size - from - here, here).toReversed();
      case 'changing':
        return shuffledPage(list, from, here, random);
    }
  };
  return {
    get size() {
      return list.size;
    },
    insert: (id) => list.insert(id),
    remove: (id) => list.remove(id),
    page,
  };
}

/** A page of an order that only this call has: rank r holds what stands at (a r + b) mod size, and a shares no factor with the size. */
function shuffledPage(list: RankedList, from: number, count: number, random: Random): number[] {
  const { size } = list;
  if (size === 0) return [];
  let step = 1 + Math.floor(random() * size);
  while (greatestDivisor(step, size) !== 1) step += 1;
  const start = Math.floor(random() * size);
  return Array.from({ length: count }, (_, at) => list.slice((start + step * (from + at)) % size, 1)[0] ?? 0);
}

function greatestDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestDivisor(b, a % b);
}

/** Murmur3's finish: each number of 32 bits becomes another one, and no two the same. */
function scramble(id: number): number {
  let mixed = id >>> 0;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
