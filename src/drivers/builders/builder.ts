import type { BuildImage } from '../../domain/plan.ts'
import type { Image } from '../../domain/step.ts'

export interface BuildImageInput {
  build: BuildImage
  /** Absolute path of the workspace's checkout; nothing outside it may get into the image. */
  workspace: string
  /** Absolute path under which OCI image layouts lie, one directory per repository. */
  images: string
  /** Told to whoever follows the step's log: one line each, without line end. */
  log(line: string): void
  signal: AbortSignal
}

/**
 * Makes an image. The same files give the same digest. The digest returned was computed from what was read back, not
 * from what was written. Called twice, or by two at once for the same repository: one content, both tags right.
 * Throws `BelayError`: `refused` (a missing file, a symlink out, a bad path), `unavailable` (disk), `mismatch`.
 */
export interface Builder {
  readonly name: 'pack'
  build(input: BuildImageInput): Promise<Image>
}
