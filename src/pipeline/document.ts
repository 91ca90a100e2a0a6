import type { z } from 'zod'
import type { StepKind } from '../domain/plan.ts'
import type { Places } from './problem.ts'
import type { FinallySchema, HeadSchema, StepSchema } from './schema.ts'

type Head = z.infer<typeof HeadSchema>
export type StepSpec = z.infer<typeof StepSchema>
export type FinallySpec = z.infer<typeof FinallySchema>

/** A step has exactly one kind; the body is what belongs to it. */
export type StepBody =
  | { kind: 'commands'; lines: string[] }
  | { kind: 'build_image'; buildImage: NonNullable<StepSpec['build_image']> }
  | { kind: 'release'; release: NonNullable<StepSpec['release']> }
  | { kind: 'deploy'; deploy: NonNullable<StepSpec['deploy']> }

/** As much of a step as references need: known even of a step that is otherwise wrong. */
export interface StepSketch {
  id: string
  stage?: string | undefined
  /** Absent: by order. */
  needs?: readonly string[] | undefined
  kind?: StepKind
  body?: StepBody
  spec?: StepSpec
}

export interface StepSource extends StepSketch {
  kind: StepKind
  spec: StepSpec
  body: StepBody
}

export interface FinallySource {
  id: string
  spec: FinallySpec
  lines: string[]
}

/** What references are checked on; a `PipelineDocument` is one without holes. */
export interface PipelineSketch {
  places: Places
  stages?: readonly string[] | undefined
  /** In the order in which they were written. */
  steps: readonly StepSketch[]
  finally: readonly FinallySource[]
}

/** A pipeline file whose every key and value is well formed; references between them are `lintPipeline`'s. */
export interface PipelineDocument extends PipelineSketch {
  file: string
  /** What the file calls it, else the file's own name. Unique among the files of a repository only if they see to it. */
  name: string
  when?: Head['when']
  timeoutMs?: number | undefined
  env: NonNullable<Head['env']>
  rollbackTimeoutMs?: number | undefined
  steps: readonly StepSource[]
}
