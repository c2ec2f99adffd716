// Who is compared, and what their programs are.
const bull = (name, title) => ({ name, title, kind: 'bullmq', program: `${name}.mjs` });

/** `kind` is where the work waits: in BullMQ, in a list on disk, or in certsweep. */
export const CONTENDERS = [
  { name: 'certsweep', title: 'certsweep', kind: 'certsweep' },
  // For what it costs; its pace is nobody's.
  { ...bull('bare', 'BullMQ and the SDK, no limiter'), isUnlimited: true },
  bull('bullmq-490-per-1000', "BullMQ's limiter, 490 per 1000 ms"),
  bull('bullmq-49-per-100', "BullMQ's limiter, 49 per 100 ms"),
  bull('bottleneck-cluster-mintime', 'Bottleneck clustered, minTime'),
  bull('bottleneck-cluster-reservoir', 'Bottleneck clustered, reservoir'),
  bull('rate-limiter-flexible', 'rate-limiter-flexible on Redis'),
  { name: 'p-throttle', title: 'p-throttle, the cap divided', kind: 'list', program: 'p-throttle.mjs' },
  { name: 'shell-loop', title: 'xargs over a small command', kind: 'shell', program: 'shell-loop.sh' },
];
