import { z } from 'zod'
import { Artifact, Image } from './step.ts'

/** A release: a numbered, immutable set of artifacts that can be deployed. */
export const Release = z.object({
  id: z.string(),
  project: z.string(),
  /** Counts up within the project, from 1. */
  number: z.number().int().positive(),
  runId: z.string(),
  sha: z.string(),
  /** Free text for people: what the pipeline called it, else the number. */
  version: z.string(),
  image: Image,
  artifacts: z.array(Artifact),
  createdAt: z.number(),
  /** Since when it cannot be deployed any more: its image and artifacts are not kept. */
  removedAt: z.number().optional(),
})
export type Release = z.infer<typeof Release>

/** As much of a release as an environment and a target need. */
export const ReleaseRef = Release.pick({
  id: true,
  project: true,
  number: true,
  version: true,
  sha: true,
  image: true,
  runId: true,
})
export type ReleaseRef = z.infer<typeof ReleaseRef>
