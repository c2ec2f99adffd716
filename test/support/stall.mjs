// Loaded into a worker with `node --import`: its event loop stands still for 500 ms every two seconds.
setInterval(() => {
  const end = performance.now() + 500;
  while (performance.now() < end);
}, 2_000).unref();
