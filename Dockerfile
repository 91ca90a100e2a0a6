# One image for every part: `server`, `worker control`, `worker runner`, `worker deployer`. Built by an engine's classic
# builder too. The base must be a Debian (Temporal's native core needs glibc) with the Node of package.json.
ARG BASE=node:20-bookworm-slim

FROM ${BASE} AS dependencies
# Another npm registry than npm's own.
ARG NPM_CONFIG_REGISTRY
WORKDIR /opt/belay
COPY package.json package-lock.json .npmrc ./
RUN npm ci --no-progress

FROM dependencies AS build
COPY tsconfig.json ./
COPY src src
COPY workers workers
# What is needed to build is not needed to run, nor is what other systems load.
RUN npm run --silent build \
  && npm prune --omit=dev --no-progress \
  && cd node_modules/@temporalio/core-bridge/releases && ls | grep -v "^$(uname -m)-unknown-linux-gnu$" | xargs rm -rf --

FROM ${BASE} AS runtime
# git: the server polls with it, runners fetch with it. tini: reaps, and hands signals on. A base that has them needs no archive.
RUN if ! command -v git >/dev/null || ! command -v tini >/dev/null; then \
    apt-get update && apt-get install --yes --no-install-recommends ca-certificates git tini && rm -rf /var/lib/apt/lists/*; \
  fi
# Directories that volumes are laid over are made here: a new volume takes its owner from what it covers.
RUN groupadd --gid 10001 belay \
  && useradd --uid 10001 --gid 10001 --no-log-init --home-dir /var/lib/belay --no-create-home --shell /usr/sbin/nologin belay \
  && install -d -o 10001 -g 10001 -m 0700 \
    /var/lib/belay /var/lib/belay/data /var/lib/belay/data/runner /var/lib/belay/data/images /run/belay /run/belay/runner-token
WORKDIR /opt/belay
COPY --from=build /opt/belay/package.json ./
COPY --from=build /opt/belay/node_modules node_modules
COPY --from=build /opt/belay/dist dist
RUN chmod 0755 dist/src/cli/main.js && ln -s /opt/belay/dist/src/cli/main.js /usr/local/bin/belay
ENV NODE_ENV=production HOME=/var/lib/belay BELAY_DATA=/var/lib/belay/data BELAY_HEALTH_FILE=/run/belay/health.json
USER 10001:10001
WORKDIR /var/lib/belay
ENTRYPOINT ["tini", "--", "belay"]
CMD ["--help"]
