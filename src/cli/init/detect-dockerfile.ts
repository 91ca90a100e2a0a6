import type { Finding } from './finding.ts'
import type { Tree } from './tree.ts'

export function detectDockerfile(tree: Tree): Finding | undefined {
  if (!tree.has('Dockerfile')) return undefined
  return {
    kind: 'dockerfile',
    why: 'Dockerfile',
    steps: [],
    notes: [],
    example: {
      why: 'To build and push its image: name a registry `main` in belay.config.yml, and take these lines in.',
      text: `build_app:
  build_image: { repository: main/app, dockerfile: Dockerfile, tags: ['\${{ sha }}'] }
`,
    },
  }
}
