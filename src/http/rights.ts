import type { Identity } from '../app/identity.ts';
import { limitFault, mayDo, rolesWith, type LimitFault, type Right } from '../core/role.ts';
import { Problem } from './problem.ts';

/** @throws Problem where the role does not have the right */
export function requireRight({ name, role, sha256 }: Identity, right: Right): void {
  if (mayDo(role, right)) return;
  const roles = rolesWith(right).join(' or ');
  throw forbidden(
    sha256 === undefined
      ? 'Without tokens, everybody may only read.'
      : `Token ${name} has the role ${role}, which may not ${right}.`,
    sha256 === undefined
      ? `Give the configuration a token with the role ${roles} (certsweep token makes one), and send it.`
      : `Use a token with the role ${roles}.`,
  );
}

/**
 * @param accounts - those that the deed touches
 * @throws Problem where they, or the number, are outside of the token's limits
 */
export function requireWithin({ name, ...limits }: Identity, accounts: Iterable<string>, items = 0): void {
  const fault = limitFault(limits, accounts, items);
  if (fault !== undefined) throw forbidden(describe(name, fault), 'Use another token, or have its limits changed.');
}

export function forbidden(detail: string, next: string): Problem {
  return new Problem({
    status: 403,
    code: 'forbidden',
    title: 'Not with this token',
    detail: `${detail} Nothing was touched.`,
    next,
  });
}

function describe(name: string, fault: LimitFault): string {
  switch (fault.kind) {
    case 'other-account':
      return `Token ${name} is not for account ${fault.account}.`;
    case 'too-many':
      return `Token ${name} may submit at most ${fault.maxItems} certificates at once, and these are ${fault.items}.`;
  }
}
