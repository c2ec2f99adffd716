import { blameOf } from '../core/code-table.ts';
import { printable } from '../core/printable.ts';
import type { OutOfReach } from './accounts.ts';
import type { CloudStop } from './cloud.ts';

/** Why the cloud was not, or no longer, asked. */
export type Unavailable = OutOfReach | (CloudStop & { readonly account: string });

/** The cloud was not, or no longer, asked: there is no inventory and no plan. Nothing was changed. */
export class CloudUnavailable extends Error {
  override readonly name = 'CloudUnavailable';
  /**
   * `no-account`: the configuration has none with this instance. `no-key`: the account's key is missing. `halted`: the account is, until its halt is
   * lifted. `refused`: the API refused a read. `closed`: the producer was closed meanwhile.
   */
  readonly kind: Unavailable['kind'];
  /** The API's code, or that of the halt. */
  readonly code: string | undefined;

  constructor(why: Unavailable) {
    super(describe(why));
    this.kind = why.kind;
    this.code = 'code' in why ? why.code : undefined;
  }
}

function describe(why: Unavailable): string {
  switch (why.kind) {
    case 'no-account':
      return `No account of the configuration has the instance ${JSON.stringify(why.instanceId)}: list it under accounts.<name>.instances`;
    case 'no-key':
      return `${why.variable} is not set: account ${why.account} needs it for its key`;
    case 'closed':
      return `The producer was closed while account ${why.account} was asked`;
    case 'halted':
      return `Account ${why.account} is halted (${why.code}: ${printable(why.message)}): try again when certsweep status no longer shows the halt`;
    case 'refused': {
      const remedy =
        blameOf(why.code) === 'credential'
          ? 'grant mq:ListDeviceCertificate and mq:ListDeviceCertificateByCaSn, and for plans mq:ListCaCertificate'
          : 'run certsweep doctor';
      return `A read of account ${why.account} was refused (${why.code}: ${printable(why.message)}): ${remedy}`;
    }
  }
}
