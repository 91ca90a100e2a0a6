#!/usr/bin/env node
const args = process.argv.slice(2)
if (args[0] === 'part') {
  const { runPart } = await import('./part.ts')
  await runPart(args.slice(1))
} else {
  const [{ processIo }, { runProgram }] = await Promise.all([import('./io.ts'), import('./program.ts')])
  await runProgram(args, processIo())
}
