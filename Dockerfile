# A worker, or any other certsweep command: docker run --rm certsweep:0.1.0 status
# Tags can be moved. For a build that cannot change under you, pin the digest: node:24.21.0-bookworm-slim@sha256:<digest>, as `docker pull` prints it.

FROM node:24.21.0-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
# Without scripts: `prepare` would build, and there is nothing to build yet.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json ./
COPY scripts/build.mjs scripts/bundle-command.mjs scripts/
COPY src src
RUN npm run build

FROM node:24.21.0-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:24.21.0-bookworm-slim
# The health check below asks this port, so it is set here and wins over the configuration file. The container's network is the boundary.
ENV NODE_ENV=production CERTSWEEP_HEALTH_PORT=9464 CERTSWEEP_HEALTH_HOST=0.0.0.0
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY package.json LICENSE ./
COPY config config
COPY --from=build /app/dist dist
# Comes with the base image, uid 1000. Nothing in /app is writable for it.
USER node
EXPOSE 9464
# Worker: up to 10 s to finish the calls under way. Give it longer than that before it is killed.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.CERTSWEEP_HEALTH_PORT}/livez`).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
# SIGUSR1 would open a debugger, and with it the memory, to anyone who may send a signal.
ENTRYPOINT ["node", "--disable-sigusr1", "/app/dist/cli/main.js"]
CMD ["worker"]
