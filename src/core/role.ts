/** Who may do what over HTTP. A command line has what its user of Redis has. */
export const ROLES = ['viewer', 'producer', 'operator', 'approver'] as const;
export type Role = (typeof ROLES)[number];

/**
 * `read`: read everything. `submit`: post batches and certificates. `control`: pause, resume, cancel, priority, dead letters, pace, stop and start.
 * `approve`: let a large batch of another token run.
 */
export type Right = 'read' | 'submit' | 'control' | 'approve';

const RIGHTS: Readonly<Record<Role, readonly Right[]>> = {
  viewer: ['read'],
  producer: ['read', 'submit'],
  operator: ['read', 'submit', 'control'],
  // Not what it would approve itself.
  approver: ['read', 'approve'],
};

export function mayDo(role: Role, right: Right): boolean {
  return RIGHTS[role].includes(right);
}

/** The roles that have a right, for people. */
export function rolesWith(right: Right): readonly Role[] {
  return ROLES.filter((role) => mayDo(role, right));
}

/** What a token is held to, beside its role. */
export interface TokenLimits {
  /** Only these; absent: every account. */
  readonly accounts?: readonly string[];
  /** The most certificates of one submission, and dead letters of one retry; absent: any number. */
  readonly maxItems?: number;
}

/** What a token must not do for its limits. */
export type LimitFault =
  | { readonly kind: 'other-account'; readonly account: string }
  | { readonly kind: 'too-many'; readonly items: number; readonly maxItems: number };

/**
 * What of a deed a token's limits forbid; undefined where nothing is.
 * @param accounts - those that the deed touches
 * @param items - certificates or letters; 0 where it has no number
 */
export function limitFault(
  { accounts, maxItems }: TokenLimits,
  touched: Iterable<string>,
  items = 0,
): LimitFault | undefined {
  if (accounts !== undefined) {
    for (const account of touched) if (!accounts.includes(account)) return { kind: 'other-account', account };
  }
  if (maxItems !== undefined && items > maxItems) return { kind: 'too-many', items, maxItems };
  return undefined;
}
