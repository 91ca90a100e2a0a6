/** What a detector has to say about a repository. */
export interface Finding {
  /** The language or the kind of CI file. */
  kind: string
  /** One line for people: what was seen. */
  why: string
  /** In the order in which they must run. */
  steps: FoundStep[]
  /** What was seen and could not be taken over, each in a few words. */
  notes: string[]
  /** Steps that need something of the operator's first: written as a comment. */
  example?: Example
}

export interface FoundStep {
  /** A step id, or what one can be made of. */
  id: string
  /** The comment above it. */
  why: string
  /** Items of `commands`; each may have several lines. */
  commands: string[]
  shell?: 'bash'
  /** Below the root of the repository. */
  directory?: string
  env?: Record<string, string>
}

export interface Example {
  why: string
  /** Keys of `steps`, in YAML, not indented. */
  text: string
}
