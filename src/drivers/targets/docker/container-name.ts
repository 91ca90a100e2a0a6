/** Names of containers and volumes. No part of one may hold a dot, so each can be read back. */
import { createHash } from 'node:crypto'

/** The environment's name on an engine that several Belays may share. */
export function placeName(environment: string, scope: string): string {
  return `${environment}-${createHash('sha256').update(scope).digest('hex').slice(0, 8)}`
}

export interface Place {
  /** As `placeName` gives it. */
  environment: string
  /** Manifest digest of the release. */
  digest: string
  /** From 0, below the number of instances. */
  slot: number
}

/** It carries the number of the operation that owns the container: see engine-fence.ts. */
export function ownedName({ environment, digest, slot }: Place, fence: number): string {
  return `belay.${environment}.${digest.slice('sha256:'.length, 'sha256:'.length + 12)}.${String(slot)}.f${String(fence)}`
}

/** Of a container that is going: it has no owner any more and never gets one again. */
export function goneName(environment: string, id: string): string {
  return `belay.${environment}.gone.${id.slice(0, 12)}`
}

/** What a name says. One that somebody else gave is owned by nobody: number 0. */
export function readName(name: string): { fence: number; gone: boolean } {
  const [belay, , third, fourth = '', fifth = ''] = name.replace(/^\//, '').split('.')
  if (belay !== 'belay') return { fence: 0, gone: false }
  if (third === 'gone' && fourth !== '') return { fence: 0, gone: true }
  return { fence: Number(/^f(\d+)$/.exec(fifth)?.[1] ?? 0), gone: false }
}

/** Of a container that runs a command of the operation of that number. */
export function commandName(environment: string, fence: number): string {
  return `belay.${environment}.command.f${String(fence)}`
}

export function readCommandName(name: string): number {
  return Number(/\.command\.f(\d+)$/.exec(name)?.[1] ?? 0)
}

export function fenceVolume(environment: string, fence: number): string {
  return `belay.${environment}.f${String(fence)}`
}

/** Undefined: a volume for something else. */
export function readFenceVolume(name: string): number | undefined {
  const digits = /^belay\.[^.]+\.f(\d+)$/.exec(name)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

export function imageVolume(environment: string, digest: string): string {
  return `belay.${environment}.image.${digest.slice('sha256:'.length)}`
}
