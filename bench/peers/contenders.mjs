// Who is compared, and what their programs are.
const bull = (name, short, title) => ({ name, short, title, kind: 'bullmq', program: `${name}.mjs` });

/** `short` is its name in a sentence; `kind` is where the work waits: in BullMQ, in a list on disk, or in certsweep. */
export const CONTENDERS = [
  { name: 'certsweep', short: 'certsweep', title: 'certsweep', kind: 'certsweep' },
  // For what it costs; its pace is nobody's.
  { ...bull('bare', 'bare', 'BullMQ and the SDK, no limiter'), isUnlimited: true },
  bull('bullmq-490-per-1000', 'BullMQ 490', "BullMQ's limiter, 490 per 1000 ms"),
  // As certsweep does, for a fair comparison of CPU.
  bull('bullmq-490-logged', 'BullMQ 490 with a log', 'the same, with a log line for each'),
  bull('bullmq-49-per-100', 'BullMQ 49', "BullMQ's limiter, 49 per 100 ms"),
  bull('bottleneck-cluster-mintime', 'minTime', 'Bottleneck clustered, minTime'),
  bull('bottleneck-cluster-reservoir', 'reservoir', 'Bottleneck clustered, reservoir'),
  bull('rate-limiter-flexible', 'flexible', 'rate-limiter-flexible on Redis'),
  {
    name: 'p-throttle',
    short: 'p-throttle',
    title: 'p-throttle, the cap divided',
    kind: 'list',
    program: 'p-throttle.mjs',
  },
  { name: 'shell-loop', short: 'xargs', title: 'xargs over a small command', kind: 'shell', program: 'shell-loop.sh' },
];
