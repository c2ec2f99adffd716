import type { HaltScope } from '../../core/decide.ts';
import type { LimiterOptions, Stop } from '../contract.ts';
import { openHaltStore, type HaltStore } from './halt-store.ts';
import { HaltView, type HaltJudgement, type Halted } from './halt-view.ts';

/** Between two probes of a halt, where nothing else is given, milliseconds. */
export const PROBE_INTERVAL_MS = 30_000;
/** Before a probe is asked for again where Redis did not answer, or knows no halt. */
const ASK_AGAIN_MS = 1_000;

/** Waits for what Redis is asked to note, and not for long; undefined where there is no result, or none yet. */
type Noting = <Result>(work: Promise<Result>) => Promise<Result | undefined>;

/** The halts of one account, and the probes that this process makes of them. Only `read` rejects. */
export class AccountHalts {
  readonly #redis: LimiterOptions['redis'];
  readonly #store: HaltStore;
  readonly #view: HaltView;
  readonly #probeIntervalMs: number;
  readonly #note: Noting;
  readonly #readAgain: () => Promise<void>;
  readonly #onStop: LimiterOptions['onStop'];
  /** The marks of probes that were given out here and are not answered yet, by instance. */
  readonly #probing = new Map<string, string>();

  /** @param readAgain - reads the halts, and has the limiter act on them */
  constructor(options: LimiterOptions, note: Noting, readAgain: () => Promise<void>) {
    this.#redis = options.redis;
    this.#probeIntervalMs = options.probeIntervalMs ?? PROBE_INTERVAL_MS;
    this.#store = openHaltStore(options, this.#probeIntervalMs);
    this.#view = new HaltView(this.#probeIntervalMs);
    this.#onStop = options.onStop?.bind(options);
    this.#note = note;
    this.#readAgain = readAgain;
  }

  get isAccountHalted(): boolean {
    return this.#view.isAccountHalted;
  }

  /** Whether the account or an instance of it is halted. */
  get any(): boolean {
    return this.#view.any;
  }

  /** Set while every call of every account is stopped. */
  get stop(): Stop | undefined {
    return this.#view.stop;
  }

  judge(instanceId: string): HaltJudgement {
    return this.#view.judge(instanceId, performance.now());
  }

  /** The answer to a caller that waits when the instance is halted. */
  refusal(instanceId: string): Halted | undefined {
    return this.#view.refusal(instanceId, performance.now());
  }

  /** Takes over what Redis knows. @returns the signals counter @throws Redis' error */
  async read(): Promise<number> {
    const seen = await this.#store.read();
    if (seen.stop?.since !== this.#view.stop?.since) this.#onStop?.(seen.stop);
    this.#view.learn(seen, performance.now());
    return seen.signals;
  }

  /** Every call of the scope would fail the same way: stops it in all processes. True where it was not marked before and now is. */
  async mark(scope: HaltScope, instanceId: string, code: string, message: string): Promise<boolean> {
    this.#probing.delete(instanceId);
    const isNew = await this.#note(this.#store.mark(scope, instanceId, code, message));
    if (isNew === true) await this.#note(this.#readAgain());
    return isNew ?? false;
  }

  /**
   * The instance's probe, given out here, succeeded: ends its halt and the account's. False where no mark was there, or no probe is out: calls that
   * were on their way when the halt began prove nothing.
   */
  async lift(instanceId: string): Promise<boolean> {
    if (!this.#probing.delete(instanceId)) return false;
    const wasHalted = await this.#note(this.#store.unmark(instanceId));
    if (wasHalted === true) await this.#note(this.#readAgain());
    return wasHalted ?? false;
  }

  /** @returns the mark of the probe; undefined where another process has it, or the halt is over */
  async tryProbe(instanceId: string, isWanted: () => boolean): Promise<string | undefined> {
    // The others of this process need not ask as well.
    this.#view.setProbe(instanceId, performance.now() + this.#probeIntervalMs);
    const trial = this.#redis.status === 'ready' ? this.#store.tryProbe(instanceId) : undefined;
    const tried = trial === undefined ? undefined : await this.#note(trial);
    if (tried?.kind === 'granted' && isWanted()) return tried.probeMark;
    // Closed meanwhile, or granted after nobody waited for it any more.
    void trial?.then(
      (late) => (late.kind === 'granted' ? this.giveBack(instanceId, late.probeMark) : undefined),
      () => undefined,
    );
    if (tried?.kind === 'not-halted') await this.#note(this.#readAgain());
    const waitMs = tried?.kind === 'taken' ? tried.waitMs : ASK_AGAIN_MS;
    this.#view.setProbe(instanceId, performance.now() + waitMs);
    return undefined;
  }

  /** The probe leaves now. */
  probeGiven(instanceId: string, probeMark: string): void {
    this.#probing.set(instanceId, probeMark);
  }

  /** The instance's probe, given out here, has told nothing: the next caller of any process may probe in its place. */
  async probeAgain(instanceId: string): Promise<void> {
    const probeMark = this.#probing.get(instanceId);
    if (this.#probing.delete(instanceId) && probeMark !== undefined) await this.giveBack(instanceId, probeMark);
  }

  /** A probe that was never made. */
  async giveBack(instanceId: string, probeMark: string): Promise<void> {
    await this.#note(this.#store.giveBack(instanceId, probeMark));
    await this.#note(this.#readAgain());
  }
}
