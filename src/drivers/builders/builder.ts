import type { BuildImage } from '../../domain/plan.ts'
import type { Image } from '../../domain/step.ts'
import type { StepGroup } from '../../process/cgroup.ts'
import type { ProcessIdentity } from '../../process/identity.ts'
import type { RegistryAccess } from '../../registry/registry.ts'

export type BuilderName = BuildImage['builder']

export interface BuildImageInput<Build extends BuildImage = BuildImage> {
  build: Build
  /** Absolute path of the workspace's checkout; nothing outside it may get into the image. */
  workspace: string
  /** Absolute path under which OCI image layouts lie, one directory per repository. */
  images: string
  /** Absolute path of an empty directory of this attempt, 0700; whoever gave it removes it afterwards. */
  scratch: string
  /** Where the image is pushed to; present if and only if the build names a registry. */
  registry?: RegistryAccess
  /** Values of `build.secrets`, by their id. For the build's own eyes: never in a layer, history, log or argument. */
  secrets: Readonly<Record<string, string>>
  /** Programs' environment: PATH, HOME, proxies, and how to reach an engine (DOCKER_HOST, DOCKER_CONTEXT, …). */
  env: Readonly<Record<string, string>>
  /** Told to whoever follows the step's log: one line each, without line end. */
  log(line: string): void
  /** Called with each program before it does anything: what is killed if this runner dies. */
  spawned(identity: ProcessIdentity): void
  /** The cgroup that each program is started in; absent: none. */
  group?: StepGroup | undefined
  signal: AbortSignal
}

/**
 * Makes an image and, if a registry is named, pushes it. The digest returned is the manifest's: computed from what was read
 * back (from the layout on disk, or from the registry), not from what was written or what a program printed. Called twice,
 * or by two at once for the same repository: both images whole, the tag is the later one's. Cut off anywhere: nothing
 * is deployed, and a repeat does it again.
 * Throws `BelayError`: `refused` (the build said no: a missing file, a symlink out, a bad path, a failing command, bad
 * credentials), `missing_part` (the builder is not on this machine), `unavailable` (disk, registry away), `mismatch`.
 */
export interface Builder {
  readonly name: Exclude<BuilderName, 'auto'>
  /** Undefined if it can work here; else why not, in one sentence that says what to do. */
  findObstacle(input: Pick<BuildImageInput, 'env' | 'signal'>): Promise<string | undefined>
  build(input: BuildImageInput): Promise<Image>
}
