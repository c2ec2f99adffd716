import { Accounts, type SandboxAccount } from './accounts.ts';
import { codelessAnswer, emptyAnswer, errorAnswer, htmlAnswer, reset, silence, type Delivery } from './delivery.ts';
import type { Fault, FaultPlan } from './fault-plan.ts';
import { FaultInjector } from './faults.ts';
import type { Journal } from './journal.ts';
import { Observations, type SandboxReport } from './observations.ts';
import { planOperation, type PlannedOperation } from './operations.ts';
import { AccountQuotas, EgressQuotas, type QuotaLimits } from './quotas.ts';
import type { Registry } from './registry.ts';
import { Gateway, OPERATIONS } from './request.ts';
import { parseForm } from './rpc-signature.ts';
import type { Random } from './seeded.ts';

/** The sandbox's time. */
export interface SandboxClock {
  /** Unix milliseconds, for timestamps and nonces. */
  readonly wallMs: () => number;
  /** Milliseconds that never go back, for quotas. */
  readonly monotonicMs: () => number;
}

export interface EndpointOptions {
  readonly accounts: readonly SandboxAccount[];
  readonly registry: Registry;
  readonly limits: QuotaLimits;
  /** False: quotas are counted, nobody is refused for them. */
  readonly enforce: boolean;
  readonly plan: FaultPlan;
  /** With which code inactivating an inactive certificate is refused; undefined: it is accepted. */
  readonly inactiveAgainCode?: string | undefined;
  readonly random: Random;
  readonly clock: SandboxClock;
  /** Hears every call that was heard, in the order of their answers. */
  readonly journal?: Journal;
}

/** Where and when a call came in. */
export interface Arrival {
  readonly address: string;
  readonly arrivedMs: number;
}

/** A delivery and how much later than usual it is due, milliseconds. */
export interface TimedDelivery {
  readonly delivery: Delivery;
  readonly slowMs: number;
}

/** The API without its transport: a request's method and parameters in, a delivery out. */
export class Endpoint {
  readonly accounts: Accounts;
  readonly observations = new Observations();
  readonly #options: EndpointOptions;
  readonly #gateway: Gateway;
  readonly #accountQuotas: AccountQuotas;
  readonly #egressQuotas: EgressQuotas;
  #faults: FaultInjector;

  constructor(options: EndpointOptions) {
    this.#options = options;
    this.accounts = new Accounts(options.accounts);
    this.#gateway = new Gateway(this.accounts);
    this.#accountQuotas = new AccountQuotas(options.limits.accountQps);
    this.#egressQuotas = new EgressQuotas(options.limits);
    this.#faults = new FaultInjector(options.plan);
  }

  setPlan(plan: FaultPlan): void {
    this.#faults = new FaultInjector(plan);
  }

  /** Counts a call as it arrives. A blocked address gets a refusal or a reset, by seeded chance, and no further hearing. */
  arrive(address: string): Delivery | undefined {
    this.observations.noteCall();
    const admitted = this.#egressQuotas.admit(address, this.#options.clock.monotonicMs());
    if (admitted || !this.#options.enforce) return undefined;
    const { random } = this.#options;
    return this.#counted(random() < 0.5 ? errorAnswer('Forbidden.RiskControl', random) : reset);
  }

  /**
   * Answers a call that has arrived. The effect, if any, is done when this returns, whatever becomes of the answer.
   * @param text - the form body of a POST, the query of a GET
   */
  answer(method: string, text: string, arrival: Arrival): TimedDelivery {
    const deletedBefore = this.#options.registry.deletedCount;
    try {
      const timed = this.#answer(method, text);
      this.#counted(timed.delivery);
      this.#journal(text, arrival, timed.delivery.code, this.#options.registry.deletedCount > deletedBefore);
      return timed;
    } catch (error) {
      // A defect of the sandbox, or a full registry: said to the caller, and the other callers continue.
      const message = `sandbox: ${error instanceof Error ? error.message : String(error)}`;
      return onTime(this.#counted(errorAnswer('InternalError', this.#options.random, { message })));
    }
  }

  seen(): SandboxReport {
    return this.observations.report({
      accounts: this.#accountQuotas.seen(),
      egress: this.#egressQuotas.seen(this.#options.clock.monotonicMs()),
      deletions: this.#options.registry.deletedCount,
    });
  }

  #journal(text: string, { address, arrivedMs }: Arrival, code: string, deleted: boolean): void {
    const { journal } = this.#options;
    if (journal === undefined) return;
    const parameters = parseForm(text);
    const read = (name: string): string => parameters?.get(name) ?? '';
    journal({
      arrivedMs,
      address,
      accessKeyId: read('AccessKeyId'),
      operation: read('Action'),
      deviceSn: read('DeviceSn'),
      nonce: read('SignatureNonce'),
      code,
      deleted,
    });
  }

  #counted(delivery: Delivery): Delivery {
    this.observations.noteCode(delivery.code);
    return delivery;
  }

  #answer(method: string, text: string): TimedDelivery {
    const { registry, clock, enforce, random } = this.#options;
    const parameters = parseForm(text);
    const action = parameters?.get('Action');
    this.observations.noteOperation(action !== undefined && Object.hasOwn(OPERATIONS, action) ? action : '(unknown)');
    if (parameters === undefined) return onTime(errorAnswer('InvalidParameter', random));

    const account = this.accounts.find(parameters.get('AccessKeyId') ?? '');
    const admitted =
      account === undefined || this.#accountQuotas.admit(account.accessKeyId, clock.monotonicMs()) || !enforce;
    const checked = this.#gateway.check(method, parameters, clock.wallMs());
    if (!checked.ok) return onTime(errorAnswer(checked.code, random, checked));
    if (!admitted) return onTime(errorAnswer('Throttling.User', random));

    const cloud = { accounts: this.accounts, registry, inactiveAgainCode: this.#options.inactiveAgainCode };
    const { operation } = checked;
    const plan = planOperation(operation, parameters, checked.account, cloud);
    if (!plan.ok) return onTime(errorAnswer(plan.code, random, plan));
    if (plan.certificate !== undefined) this.observations.noteCertificate(plan.certificate);
    const fault = this.#faults.draw(operation, plan.subject, plan.certificate ?? `${operation} ${plan.subject}`);
    if (fault === undefined) return onTime(this.#act(plan));
    this.observations.noteFault(fault.kind);
    return this.#misbehave(fault, plan);
  }

  #act(plan: PlannedOperation): Delivery {
    const done = plan.act();
    return 'ok' in done ? errorAnswer(done.code, this.#options.random, done) : done;
  }

  #misbehave(fault: Fault, plan: PlannedOperation): TimedDelivery {
    const { random } = this.#options;
    switch (fault.kind) {
      case 'code':
        return onTime(errorAnswer(fault.code, random, { status: fault.status }));
      case 'throttle':
        return onTime(errorAnswer('Throttling.User', random, fault));
      case 'html':
        return onTime(htmlAnswer(fault.status ?? 502));
      case 'empty':
        return onTime(emptyAnswer(fault.status ?? 200));
      case 'no-code':
        return onTime(codelessAnswer(fault.status ?? 503, 'Service temporarily unavailable'));
      case 'empty-object':
        return onTime(codelessAnswer(fault.status ?? 200));
      case 'wrong-echo':
        return onTime(plan.wrongEcho());
      case 'reset-before':
        return onTime(reset);
      case 'hang':
        return onTime(silence);
      case 'slow':
        return { delivery: this.#act(plan), slowMs: fault.delayMs };
      case 'reset-after':
        this.#act(plan);
        return onTime(reset);
      case 'answer-lost-after':
        this.#act(plan);
        return onTime(htmlAnswer(fault.status ?? 502));
      case 'code-after':
        this.#act(plan);
        return onTime(errorAnswer(fault.code, random, { status: fault.status }));
    }
  }
}

const onTime = (delivery: Delivery): TimedDelivery => ({ delivery, slowMs: 0 });
