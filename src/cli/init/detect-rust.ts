import type { Finding } from './finding.ts'
import type { Tree } from './tree.ts'

export function detectRust(tree: Tree): Finding | undefined {
  if (!tree.has('Cargo.toml')) return undefined
  const locked = tree.has('Cargo.lock')
  const flag = locked ? ' --locked' : ''
  return {
    kind: 'rust',
    why: locked ? 'Cargo.toml, with its lock file' : 'Cargo.toml, without a lock file',
    steps: [
      {
        id: 'build',
        why: locked ? 'with exactly the versions of Cargo.lock' : 'no Cargo.lock: the newest versions that fit',
        commands: [`cargo build${flag}`],
      },
      { id: 'test', why: 'unit, integration and documentation tests', commands: [`cargo test${flag}`] },
    ],
    notes: [],
  }
}
