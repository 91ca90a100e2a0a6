import type { Example, Finding } from './finding.ts'
import { shellWord } from './shell-word.ts'
import type { Tree } from './tree.ts'
import { flowScalar } from './yaml-text.ts'

const mostRead = 100

export function detectGo(tree: Tree): Finding | undefined {
  const module = /^module[ \t]+(\S+)/m.exec(tree.read('go.mod') ?? '')?.[1]
  if (module === undefined) return undefined
  const programs = findPrograms(tree)
  const [program] = programs
  return {
    kind: 'go',
    why: `go.mod of ${module}${programs.length === 0 ? ', a library' : `, programs: ${programs.join(', ')}`}`,
    steps: [
      { id: 'build', why: 'every package of the module', commands: ['go build ./...'] },
      { id: 'vet', why: 'what compiles and is still likely to be wrong', commands: ['go vet ./...'] },
      { id: 'test', why: 'every test of the module', commands: ['go test ./...'] },
    ],
    notes: [],
    ...(program === undefined ? {} : { example: deployment(program) }),
  }
}

/** Directories of `package main`, as `go build` takes them. */
function findPrograms(tree: Tree): string[] {
  const sources = tree.list('{*.go,cmd/**/*.go}').filter((file) => !file.endsWith('_test.go'))
  const mains = sources.slice(0, mostRead).filter((file) => /^package[ \t]+main\b/m.test(tree.read(file) ?? ''))
  return [...new Set(mains.map((file) => (file.includes('/') ? `./${file.slice(0, file.lastIndexOf('/'))}` : '.')))]
}

function deployment(program: string): Example {
  const build = `CGO_ENABLED=0 go build -o out/app ${shellWord(program)}`
  return {
    why: 'To deploy it: name an environment in belay.config.yml, and take these lines in. It must listen on $PORT.',
    text: `compile_app: { commands: [${flowScalar(build)}] }
pack_app:
  build_image: { builder: pack, repository: app, files: { out/app: /app/app }, entrypoint: [/app/app] }
deploy_app:
  deploy: { environment: production, health: { http: /healthz } }
`,
  }
}
