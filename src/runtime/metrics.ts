import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

export type Labels = Readonly<Record<string, string>>;

/** One line of the exposition. */
export interface Series {
  readonly labels: Labels;
  readonly value: number;
}

/** What a metric is called, and what it says. */
export interface About {
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
}

/** Takes up one value of a histogram. */
export type Observe = (value: number) => void;

/** Metrics of one object of a process, in a registry of its own: several workers may run in one process. */
export class Metrics {
  readonly #registry = new Registry();

  /** @param read - the counts so far, asked for at each scrape, so that counting itself costs nothing */
  counter({ name, help, labels }: About, read: () => Iterable<Series>): void {
    const counted = new Counter({
      name,
      help,
      labelNames: [...labels],
      registers: [],
      collect() {
        this.reset();
        for (const { labels: of, value } of read()) this.inc(of, value);
      },
    });
    this.#registry.registerMetric(counted);
  }

  /** @param read - the values now, asked for at each scrape; what is not among them is not shown */
  gauge({ name, help, labels }: About, read: () => Iterable<Series>): void {
    const measured = new Gauge({
      name,
      help,
      labelNames: [...labels],
      registers: [],
      collect() {
        this.reset();
        // Without labels, a reset leaves a 0.
        if (labels.length === 0) this.remove();
        for (const { labels: of, value } of read()) this.set(of, value);
      },
    });
    this.#registry.registerMetric(measured);
  }

  /**
   * @param buckets - upper bounds
   * @returns what is bound to labels once, and then called for each value
   */
  histogram({ name, help, labels }: About, buckets: readonly number[]): (of: Labels) => Observe {
    const histogram = new Histogram({
      name,
      help,
      labelNames: [...labels],
      buckets: [...buckets],
      registers: [this.#registry],
    });
    return (of) => {
      histogram.zero(of);
      const bound = histogram.labels(of);
      return (value) => bound.observe(value);
    };
  }

  /** The exposition that Prometheus reads. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }
}

/** Upper bounds for what takes milliseconds to seconds, in seconds. */
export const DURATION_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Gauges of Node that Prometheus' linter refuses for the counter's ending in their names. */
const MISNAMED = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total'];

/** At the library's own 10 ms, the wake-ups cost an idle process 0.3% of a core. */
const LAG_RESOLUTION_MS = 50;

let ofProcess: Registry | undefined;

/** CPU, memory, event loop lag and garbage collection of this process, under the names that all programs on Node use. They are watched from the first call on. */
export function processMetrics(): Promise<string> {
  if (ofProcess === undefined) {
    ofProcess = new Registry();
    collectDefaultMetrics({ register: ofProcess, eventLoopMonitoringPrecision: LAG_RESOLUTION_MS });
    for (const name of MISNAMED) ofProcess.removeSingleMetric(name);
  }
  return ofProcess.metrics();
}
