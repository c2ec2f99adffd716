import type { Accepted, Answer } from './answer.ts';

export const REGISTERED_STATUSES = ['active', 'inactive'] as const;
export type RegisteredStatus = (typeof REGISTERED_STATUSES)[number];

/** What the API says of a device certificate or a CA, beside its serial number. */
interface Registered {
  readonly status: RegisteredStatus;
  /** Unix milliseconds; undefined where the API says no number. */
  readonly validBeginMs: number | undefined;
  readonly validEndMs: number | undefined;
  /** PEM text, its line ends maybe written as a backslash and an n; empty where there is none. */
  readonly content: string;
}

/** A device certificate as the API has it registered. */
export interface RegisteredDevice extends Registered {
  readonly caSn: string;
  readonly deviceSn: string;
  readonly deviceName: string;
}

/** A CA certificate as the API has it registered. */
export interface RegisteredCa extends Registered {
  readonly caSn: string;
  readonly name: string;
}

/** One page of a listing. */
export interface ListedPage<Row> {
  readonly rows: readonly Row[];
  /** Rows that name nothing that can be called for: no serial number, or one that no manifest can hold. */
  readonly unreadable: number;
  /** As the API says it: results for one operation, pages for another. Not to be trusted. */
  readonly total: number | undefined;
}

/** Which page is asked for. */
export interface PageOf {
  readonly instanceId: string;
  /** From 1. */
  readonly pageNo: number;
  /** 1 to 100. */
  readonly pageSize: number;
}

/** The answer to a read: with what was read where the API gave it. */
export type ReadAnswer<Data> = (Accepted & { readonly data: Data }) | Exclude<Answer, Accepted>;
