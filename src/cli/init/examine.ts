import { mostTaken } from './ci-lines.ts'
import { detectDockerfile } from './detect-dockerfile.ts'
import { detectGithub } from './detect-github.ts'
import { detectGitlab } from './detect-gitlab.ts'
import { detectGo } from './detect-go.ts'
import { detectJava } from './detect-java.ts'
import { detectNode } from './detect-node.ts'
import { detectPython } from './detect-python.ts'
import { detectRust } from './detect-rust.ts'
import { detectWoodpecker } from './detect-woodpecker.ts'
import type { Finding, FoundStep } from './finding.ts'
import { treeBelow, type Tree } from './tree.ts'

const languages = [detectNode, detectGo, detectPython, detectJava, detectRust] satisfies readonly ((
  tree: Tree,
) => Finding | undefined)[]
const otherCi = [detectGithub, detectGitlab, detectWoodpecker]

export interface Examined {
  findings: Finding[]
  steps: FoundStep[]
}

/** All that is found, and the steps to write: those of another CI's file if it has any, since people rely on them; else each language's. */
export function examine(tree: Tree, options: { branch: string; ci: boolean }): Examined {
  const spoken = languages.flatMap((detect) => detect(tree) ?? [])
  const inside = spoken.length > 0 ? [] : examineDirectories(tree)
  const asked = options.ci ? otherCi.flatMap((detect) => detect(tree, options.branch) ?? []) : []
  const chosen = asked.find(({ steps }) => steps.length > 0)
  const native = [...spoken, ...inside]
  const image = detectDockerfile(tree)
  const findings = keepOneDeployment([...asked, ...native, ...(image === undefined ? [] : [image])])
  if (chosen === undefined) return { findings, steps: bounded(native, native.length > 1) }
  for (const finding of findings) if (finding.kind !== chosen.kind && finding.steps.length > 0) setAside(finding, chosen)
  return { findings, steps: bounded([chosen], false) }
}

const mostDirectories = 8

/** Nothing at the root: the directories right below it, each with steps of its own. */
function examineDirectories(tree: Tree): Finding[] {
  const manifests = tree.list(
    '*/{package.json,go.mod,pyproject.toml,setup.py,requirements.txt,pom.xml,build.gradle,build.gradle.kts,Cargo.toml}',
  )
  const directories = [...new Set(manifests.map((file) => file.slice(0, file.indexOf('/'))))].filter(
    (name) => !/[\\*,{}]/.test(name),
  )
  return directories.slice(0, mostDirectories).flatMap((directory) =>
    languages.flatMap((detect) => {
      const finding = detect(treeBelow(tree, directory))
      if (finding === undefined) return []
      const { kind, why, steps, notes } = finding
      const placed = steps.map((step) => ({ ...step, id: `${directory} ${step.id}`, directory }))
      return [{ kind, why: `${directory}: ${why}`, steps: placed, notes }]
    }),
  )
}

/** What is not written is told as such, not as a mistake. */
function setAside(finding: Finding, chosen: Finding): void {
  const lines = finding.steps.map(({ commands }) => commands.join('; '))
  finding.notes = [...lines.map((line) => `${line} (${chosen.why} says how instead)`), ...finding.notes]
  finding.steps = []
}

/** Only one image can be the release of a pipeline: the first one is shown. */
function keepOneDeployment(findings: Finding[]): Finding[] {
  const first = findings.find(({ example }) => example?.text.includes('deploy_app:') === true)
  return findings.map((finding) => {
    if (finding === first || finding.example?.text.includes('deploy_app:') !== true) return finding
    const { example: _, ...rest } = finding
    return rest
  })
}

/** With several languages each id begins with its own. What is too much for one pipeline becomes a note. */
function bounded(findings: readonly Finding[], prefix: boolean): FoundStep[] {
  let bytes = 0
  return findings.flatMap((finding) =>
    finding.steps.flatMap((step) => {
      bytes += Buffer.byteLength(JSON.stringify(step)) * 2
      if (bytes > mostTaken.bytes) {
        finding.notes.push(`${step.why}: too long`)
        return []
      }
      return [prefix && step.directory === undefined ? { ...step, id: `${finding.kind} ${step.id}` } : step]
    }),
  )
}
