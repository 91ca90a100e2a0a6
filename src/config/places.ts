import { createHash } from 'node:crypto'
import { resolve } from 'node:path'

/**
 * Where everything lies on one machine. `data` is 0700 and ours alone. `work` holds what other people's code reads:
 * workspaces and unpacked applications; when Belay is root they run under another uid, so it must lie outside `data`.
 */
export interface Places {
  data: string
  work: string
  database: string
  blobs: string
  logs: string
  /** OCI image layouts, one directory per repository. */
  images: string
  temporal: string
  keeper: string
  runner: string
  /** What the target `docker` keeps: logs of containers that are gone. */
  containers: string
  /** What the parts of `up` print. */
  partLogs: string
  workspaces: string
  apps: string
}

export function placesOf(data: string, options: { work?: string | undefined; root: boolean }): Places {
  const base = resolve(data)
  const work = options.work ?? (options.root ? `/var/lib/belay/${shortHash(base)}` : `${base}/work`)
  return {
    data: base,
    work,
    database: `${base}/belay.db`,
    blobs: `${base}/blobs`,
    logs: `${base}/logs`,
    images: `${base}/images`,
    temporal: `${base}/temporal`,
    keeper: `${base}/keeper`,
    runner: `${base}/runner`,
    containers: `${base}/containers`,
    partLogs: `${base}/parts`,
    workspaces: `${work}/workspaces`,
    apps: `${work}/apps`,
  }
}

/** Twelve hex digits that stand for a path: short enough for a socket's name. */
export function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12)
}
